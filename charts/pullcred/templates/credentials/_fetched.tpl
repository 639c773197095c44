{{/* Logins that pullcred fetches. Each list is in YAML, and is nothing where it would be empty: to RBAC no name is every name. */}}

{{/* The names of the logins that are fetched. */}}
{{- define "pullcred.fetchedLogins" -}}
{{- $names := list }}
{{- if .Values.mappingFrom.configMap }}
{{- $names = .Values.credentials.fetched.logins | default list }}
{{- else }}
{{- range .Values.mapping.logins }}
{{- if not .secret }}{{ $names = append $names .name }}{{ end }}
{{- end }}
{{- end }}
{{- with $names | uniq | sortAlpha }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* Those that a rule copies, and not only ServiceAccounts of namespaces fetch. */}}
{{- define "pullcred.sharedLogins" -}}
{{- $fetched := include "pullcred.fetchedLogins" . | fromYamlArray }}
{{- if .Values.mappingFrom.configMap }}
{{- with $fetched }}{{ toYaml . }}{{ end }}
{{- else }}
{{- $names := list }}
{{- range .Values.mapping.rules }}
{{- if and .login (has .login $fetched) (not (index . "as")) }}{{ $names = append $names .login }}{{ end }}
{{- end }}
{{- with $names | uniq | sortAlpha }}{{ toYaml . }}{{ end }}
{{- end }}
{{- end }}

{{/* The Secrets of the release's namespace in which they are kept. */}}
{{- define "pullcred.fetchedSecretNames" -}}
{{- $names := list }}
{{- range include "pullcred.sharedLogins" . | fromYamlArray }}{{ $names = append $names (printf "pullcred-login-%s" .) }}{{ end }}
{{- with $names }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* The Secrets with keys, by which some are fetched. */}}
{{- define "pullcred.keySecretNames" -}}
{{- $names := list }}
{{- if .Values.mappingFrom.configMap }}
{{- $names = .Values.credentials.fetched.keySecretNames | default list }}
{{- else }}
{{- range .Values.mapping.logins }}
{{- with (.aws | default .aliyun | default .github | default dict).keys }}{{ $names = append $names .secret }}{{ end }}
{{- end }}
{{- end }}
{{- with $names | uniq | sortAlpha }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* Whether one is fetched by a token of the ServiceAccount pullcred-pull of the release's namespace. */}}
{{- define "pullcred.ownTokens" -}}
{{- $shared := include "pullcred.sharedLogins" . | fromYamlArray }}
{{- if .Values.mappingFrom.configMap }}
{{- if $shared }}true{{ end -}}
{{- else }}
{{- $found := false }}
{{- range .Values.mapping.logins }}
{{- $cloud := .aws | default .google | default .azure | default .aliyun | default dict }}
{{- $byToken := or ($cloud.role | default $cloud.provider | default $cloud.tenant) ((.plugin | default dict).audience) }}
{{- if and $byToken (not $cloud.tokenFile) (has .name $shared) }}{{ $found = true }}{{ end }}
{{- end }}
{{- if $found }}true{{ end -}}
{{- end }}
{{- end }}

{{/* The ServiceAccounts of namespaces that fetch their own. */}}
{{- define "pullcred.ownServiceAccountNames" -}}
{{- $names := list }}
{{- if .Values.mappingFrom.configMap }}
{{- $names = .Values.credentials.fetched.serviceAccountNames | default list }}
{{- else }}
{{- range .Values.mapping.rules }}
{{- with index . "as" }}{{ $names = append $names .serviceAccount }}{{ end }}
{{- end }}
{{- end }}
{{- with $names | uniq | sortAlpha }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* The audiences of all those tokens. */}}
{{- define "pullcred.tokenAudiences" -}}
{{- $names := list }}
{{- if .Values.mappingFrom.configMap }}
{{- if include "pullcred.fetchedLogins" . }}
{{- $names = concat (list "sts.amazonaws.com" "api://AzureADTokenExchange" "sts.aliyuncs.com") (.Values.credentials.fetched.audiences | default list) }}
{{- end }}
{{- else }}
{{- range .Values.mapping.logins }}
{{- $usual := "" }}
{{- if (.aws | default dict).role }}{{ $usual = "sts.amazonaws.com" }}
{{- else if (.azure | default dict).tenant }}{{ $usual = "api://AzureADTokenExchange" }}
{{- else if (.aliyun | default dict).role }}{{ $usual = "sts.aliyuncs.com" }}
{{- else if (.google | default dict).provider }}
{{- $usual = printf "//iam.googleapis.com/%s" .google.provider }}
{{- if hasPrefix "identitynamespace:" .google.provider }}{{ $usual = index (splitList ":" .google.provider) 1 }}{{ end }}
{{- end }}
{{- $source := .aws | default .google | default .azure | default .aliyun | default .plugin | default dict }}
{{- with $source.audience | default $usual }}
{{- if not $source.tokenFile }}{{ $names = append $names . }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- with $names | uniq | sortAlpha }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* Whether any is fetched, by whomever. */}}
{{- define "pullcred.fetchEnabled" -}}
{{- if and (include "pullcred.credentialsEnabled" .) (include "pullcred.fetchedLogins" .) }}true{{ end -}}
{{- end }}

{{/* Whether the credentials controller connects to anything but the API server: where logins are fetched, or tried. */}}
{{- define "pullcred.outsideEnabled" -}}
{{- if or (include "pullcred.fetchEnabled" .) (include "pullcred.healthEnabled" .) }}true{{ end -}}
{{- end }}

{{/* Whether a login comes from a plugin, which runs in a container without a token of the API server. */}}
{{- define "pullcred.pluginsEnabled" -}}
{{- $found := .Values.credentials.plugins.enabled }}
{{- range (empty .Values.mappingFrom.configMap | ternary .Values.mapping.logins list) }}
{{- if .plugin }}{{ $found = true }}{{ end }}
{{- end }}
{{- if and $found (include "pullcred.fetchEnabled" .) }}true{{ end -}}
{{- end }}

{{/* The identities of the machine that are used, of `ambient`. */}}
{{- define "pullcred.ambient" -}}
{{- $names := list }}
{{- if .Values.mappingFrom.configMap }}
{{- $names = .Values.credentials.fetched.ambient | default list }}
{{- else }}
{{- range .Values.mapping.logins }}
{{- with (.aws | default .google | default .azure | default dict).ambient }}{{ $names = append $names . }}{{ end }}
{{- end }}
{{- end }}
{{- with $names | uniq | sortAlpha }}{{ toYaml . }}{{ end }}
{{- end }}

{{- define "pullcred.authoritiesName" -}}{{ include "pullcred.fullname" . }}-authorities{{- end }}

{{/* What the fetching and the trying of logins add to the egress of the credentials controller. */}}
{{- define "pullcred.outsideEgress" -}}
{{- $egress := .Values.credentials.egress -}}
{{- $ports := list -}}
{{- range $egress.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- with .Values.credentials.proxy.url -}}
{{- $ports = append $ports (regexFind ":[0-9]+/?$" . | trimAll ":/" | default "80" | int) | uniq -}}
{{- end -}}
# The names of {{ include "pullcred.fetchEnabled" . | empty | ternary "registries" "clouds" }}.
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
# {{ include "pullcred.fetchEnabled" . | empty | ternary "Registries" "Clouds, registries," }} and a proxy.
- ports:
    {{- range $ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with $egress.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- $addresses := dict
      "eks-pod-identity" (list (list "169.254.170.23/32" 80) (list "fd00:ec2::23/128" 80))
      "gke" (list (list "169.254.169.254/32" 80) (list "169.254.169.252/32" 988))
      "imds" (list (list "169.254.169.254/32" 80)) }}
{{- range include "pullcred.ambient" . | fromYamlArray }}
# Where the machine says who it is: {{ . }}.
{{- range index $addresses . }}
- ports:
    - port: {{ last . }}
      protocol: TCP
  to:
    - ipBlock:
        cidr: {{ first . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Environment, mounts and volumes of the container that connects to them. */}}
{{- define "pullcred.outsideEnv" -}}
{{- $own := .Values.credentials -}}
{{- with $own.proxy.url }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with $own.proxy.noProxy }}
- name: NO_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if $own.caBundle }}
# Where one is named, the other is not read by default.
- name: SSL_CERT_FILE
  value: /etc/ssl/certs/ca-certificates.crt
- name: SSL_CERT_DIR
  value: /etc/pullcred/authorities
{{- end }}
{{- end }}

{{- define "pullcred.credentialsMounts" -}}
{{- $own := .Values.credentials -}}
{{- if include "pullcred.pluginsEnabled" . }}
- name: api-token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
- name: plugins-socket
  mountPath: /run/pullcred
  readOnly: true
{{- end }}
{{- if and $own.caBundle (include "pullcred.outsideEnabled" .) }}
- name: authorities
  mountPath: /etc/pullcred/authorities
  readOnly: true
{{- end }}
{{- with $own.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "pullcred.credentialsVolumes" -}}
{{- $own := .Values.credentials -}}
{{- if include "pullcred.pluginsEnabled" . }}
# What the kubelet would mount into every container.
- name: api-token
  projected:
    defaultMode: 0444
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3607
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                apiVersion: v1
                fieldPath: metadata.namespace
- name: plugins-socket
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
- name: plugins
  {{- $own.plugins.volume | default (dict "emptyDir" dict) | toYaml | nindent 2 }}
{{- end }}
{{- if and $own.caBundle (include "pullcred.outsideEnabled" .) }}
- name: authorities
  configMap:
    name: {{ include "pullcred.authoritiesName" . }}
{{- end }}
{{- with $own.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The container that runs plugins: they are other people's programs, so it has no token of the API server. */}}
{{- define "pullcred.pluginsContainer" -}}
- name: plugins
  {{- include "pullcred.containerCommon" . | nindent 2 }}
  args:
    - plugins
    - --socket=/run/pullcred/plugins.sock
    - --dir=/plugins
  env:
    - name: PULLCRED_LOG
      value: {{ .Values.logLevel | quote }}
  resources:
    {{- toYaml .Values.credentials.plugins.resources | nindent 4 }}
  volumeMounts:
    - name: plugins
      mountPath: /plugins
      readOnly: true
      {{- with .Values.credentials.plugins.subPath }}
      subPath: {{ . }}
      {{- end }}
    - name: plugins-socket
      mountPath: /run/pullcred
{{- end }}
