{{/* Names. 40 characters leave room for the longest suffix, `-controller-metrics`. */}}
{{- define "pullcred.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "pullcred.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "pullcred.webhookName" -}}{{ include "pullcred.fullname" . }}-webhook{{- end }}
{{- define "pullcred.controllerName" -}}{{ include "pullcred.fullname" . }}-controller{{- end }}
{{- define "pullcred.unregisterName" -}}{{ include "pullcred.fullname" . }}-unregister{{- end }}
{{- define "pullcred.testName" -}}{{ include "pullcred.fullname" . }}-helm-test{{- end }}

{{/* The name of the one entry of the MutatingWebhookConfiguration; also the API server's `name` label in its metrics. */}}
{{- define "pullcred.entryName" -}}inject.pullcred.dev{{- end }}

{{- define "pullcred.webhookServiceAccount" -}}
{{- .Values.webhook.serviceAccount.name | default (include "pullcred.webhookName" .) -}}
{{- end }}

{{- define "pullcred.controllerServiceAccount" -}}
{{- .Values.controller.serviceAccount.name | default (include "pullcred.controllerName" .) -}}
{{- end }}

{{/* The Secret with the serving certificate, and the one with the CA's key. */}}
{{- define "pullcred.tlsSecret" -}}
{{- if eq .Values.certificates.mode "existingSecret" -}}
{{- .Values.certificates.existingSecret.name -}}
{{- else -}}
{{- include "pullcred.fullname" . }}-tls
{{- end -}}
{{- end }}
{{- define "pullcred.caSecret" -}}{{ include "pullcred.fullname" . }}-ca{{- end }}

{{- define "pullcred.mappingConfigMap" -}}
{{- .Values.mappingFrom.configMap | default (printf "%s-mapping" (include "pullcred.fullname" .)) -}}
{{- end }}

{{/* Labels. A component is given as (list $ "webhook"). */}}
{{- define "pullcred.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pullcred.name" (first .) }}
app.kubernetes.io/instance: {{ (first .).Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{- define "pullcred.labels" -}}
{{- $root := first . -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "pullcred.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The image's name without tag and digest, which is also a pattern of the mapping. */}}
{{- define "pullcred.imageName" -}}
{{- printf "%s/%s" (.Values.global.imageRegistry | default .Values.image.registry) .Values.image.repository -}}
{{- end }}

{{- define "pullcred.image" -}}
{{- $image := printf "%s:%s" (include "pullcred.imageName" .) (.Values.image.tag | default .Chart.AppVersion) -}}
{{- with .Values.image.digest }}{{ $image = printf "%s@%s" $image . }}{{ end -}}
{{- $image -}}
{{- end }}

{{- define "pullcred.imagePullSecrets" -}}
{{- with concat .Values.global.imagePullSecrets .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What all Pods have in common, in three parts: the Pod, where it runs, its container. */}}
{{- define "pullcred.podCommon" -}}
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- include "pullcred.imagePullSecrets" . }}
{{- end }}

{{- define "pullcred.placement" -}}
nodeSelector:
  {{- mergeOverwrite (dict "kubernetes.io/os" "linux") .nodeSelector | toYaml | nindent 2 }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- define "pullcred.containerCommon" -}}
image: {{ include "pullcred.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{/* Probes on the plain port. Liveness is about the process alone: neither certificates nor the API server count. */}}
{{- define "pullcred.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 1
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}

{{/* Whether the controller has a job: today certificates alone. */}}
{{- define "pullcred.controllerEnabled" -}}
{{- if eq .Values.certificates.mode "self" }}true{{ end -}}
{{- end }}

{{- define "pullcred.testsEnabled" -}}
{{- if and .Values.tests.enabled (not .Values.mappingFrom.configMap) }}true{{ end -}}
{{- end }}

{{/* What the schema can't say. */}}
{{- define "pullcred.validate" -}}
{{- if and .Values.mappingFrom.configMap (or .Values.mapping.rules .Values.mapping.always) -}}
{{- fail "both mapping and mappingFrom.configMap are set: the mapping is in one or the other" -}}
{{- end -}}
{{- if not (or .Values.mappingFrom.configMap .Values.mapping.rules .Values.mapping.always (include "pullcred.testsEnabled" .)) -}}
{{- fail "the mapping is empty, and pullcred doesn't start with an empty one: write mapping.rules, such as [{registries: [registry.example.com], secret: example}]" -}}
{{- end -}}
{{- $certificates := .Values.certificates -}}
{{- if and (eq $certificates.mode "existingSecret") (not $certificates.existingSecret.caBundle) -}}
{{- $injected := false -}}
{{- range $key, $_ := .Values.registration.annotations -}}
{{- if hasPrefix "cert-manager.io/inject-ca-from" $key }}{{ $injected = true }}{{ end -}}
{{- end -}}
{{- if not $injected -}}
{{- fail "certificates.mode is existingSecret: set certificates.existingSecret.caBundle to the CA certificate in PEM, or have cert-manager write it by the annotation cert-manager.io/inject-ca-from or cert-manager.io/inject-ca-from-secret in registration.annotations" -}}
{{- end -}}
{{- end -}}
{{- end }}
