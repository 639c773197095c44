{{/* Names. 40 characters leave room for the longest suffix, `-credentials-metrics`. */}}
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
{{- define "pullcred.credentialsName" -}}{{ include "pullcred.fullname" . }}-credentials{{- end }}
{{- define "pullcred.discoverName" -}}{{ include "pullcred.fullname" . }}-discover{{- end }}
{{- define "pullcred.viewName" -}}{{ include "pullcred.fullname" . }}-reports-view{{- end }}
{{- define "pullcred.publishName" -}}{{ include "pullcred.fullname" . }}-publish{{- end }}
{{- define "pullcred.checkName" -}}{{ include "pullcred.fullname" . }}-mapping-check{{- end }}
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

{{- define "pullcred.credentialsServiceAccount" -}}
{{- .Values.credentials.serviceAccount.name | default (include "pullcred.credentialsName" .) -}}
{{- end }}

{{/* The Secret with the serving certificate, and those with a CA's key. Modes share no name: each leaves the Secrets of the others
     alone, so that one can change between them. */}}
{{- define "pullcred.tlsSecret" -}}
{{- if eq .Values.certificates.mode "existingSecret" -}}
{{- .Values.certificates.existingSecret.name -}}
{{- else if eq .Values.certificates.mode "certManager" -}}
{{- include "pullcred.fullname" . }}-cm-tls
{{- else -}}
{{- include "pullcred.fullname" . }}-tls
{{- end -}}
{{- end }}
{{- define "pullcred.caSecret" -}}{{ include "pullcred.fullname" . }}-ca{{- end }}
{{- define "pullcred.certManagerCa" -}}{{ include "pullcred.fullname" . }}-cm-ca{{- end }}

{{- define "pullcred.mappingConfigMap" -}}
{{- .Values.mappingFrom.configMap | default (printf "%s-mapping" (include "pullcred.fullname" .)) -}}
{{- end }}

{{/* The mapping file, to the byte: `/readyz?verbose` of a webhook Pod shows the hash of this. */}}
{{- define "pullcred.mappingText" -}}
{{- $mapping := deepCopy .Values.mapping }}
{{- if include "pullcred.testsEnabled" . }}
{{- $rule := dict
      "registries" (list (include "pullcred.imageName" .))
      "secret" (include "pullcred.testName" .)
      "namespaces" (list (include "pullcred.testName" .)) }}
{{- $_ := set $mapping "rules" (append ($mapping.rules | default list) $rule) }}
{{- end }}
{{- toYaml $mapping }}{{ "\n" }}
{{- end }}

{{/* Who may connect to admin ports: who reads metrics, and the API server, through which `kubectl get --raw …/proxy/…` comes. */}}
{{- define "pullcred.adminPeers" -}}
{{- $peers := .Values.networkPolicy.metricsFrom | default list }}
{{- range .Values.networkPolicy.apiServerCIDRs }}
{{- $peers = append $peers (dict "ipBlock" (dict "cidr" .)) }}
{{- end }}
{{- with $peers }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* What a Pod may do that talks to the API server and serves an admin port: the rest of a NetworkPolicy after its podSelector. */}}
{{- define "pullcred.apiServerTraffic" -}}
policyTypes: [Ingress, Egress]
{{- with include "pullcred.adminPeers" . }}
ingress:
  - ports:
      - port: admin
        protocol: TCP
    from:
      {{- . | nindent 6 }}
{{- end }}
{{ include "pullcred.apiServerEgress" . }}
{{- end }}

{{- define "pullcred.apiServerEgress" -}}
egress:
  # No DNS: the API server's address is in the environment of each Pod.
  - ports:
      {{- range .Values.networkPolicy.apiServerPorts }}
      - port: {{ . }}
        protocol: TCP
      {{- end }}
    {{- with .Values.networkPolicy.apiServerCIDRs }}
    to:
      {{- range . }}
      - ipBlock:
          cidr: {{ . }}
      {{- end }}
    {{- end }}
{{- end }}

{{/* What the API server adds to a policy's matchConstraints, around a namespaceSelector. The whole of it has one owner, so that what is
     left out is a conflict between two who apply the chart. */}}
{{- define "pullcred.matchDefaults" -}}
matchPolicy: Equivalent
namespaceSelector:
  {{- toYaml . | nindent 2 }}
objectSelector: {}
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
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- if not $registry -}}
{{- fail "image.registry is required: no image of pullcred is published yet. Build one (make image), push it to a registry of yours, and write its place as image.registry and image.repository: see docs/install.md" -}}
{{- end -}}
{{- printf "%s/%s" $registry .Values.image.repository -}}
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

{{/* Whether the controller has a job: the webhook's certificate. */}}
{{- define "pullcred.controllerEnabled" -}}
{{- if and .Values.webhook.enabled (eq .Values.certificates.mode "self") }}true{{ end -}}
{{- end }}

{{/* Whether the credentials controller has a job: logins whose copies it keeps, or Secrets of users that it looks for. */}}
{{- define "pullcred.credentialsEnabled" -}}
{{- if or (include "pullcred.copyNames" .) (include "pullcred.discoveryEnabled" .) }}true{{ end -}}
{{- end }}

{{/* Whether the mapping has `discover`. */}}
{{- define "pullcred.discoveryEnabled" -}}
{{- if .Values.mappingFrom.configMap }}
{{- if .Values.discovery.enabled }}true{{ end -}}
{{- else if .Values.mapping.discover }}true{{ end -}}
{{- end }}

{{/* Whether the credentials controller writes reports, and the webhook reads them. */}}
{{- define "pullcred.reportsEnabled" -}}
{{- if and .Values.reports.enabled (include "pullcred.credentialsEnabled" .) }}true{{ end -}}
{{- end }}

{{/* Whether the credentials controller tries logins at their registries. */}}
{{- define "pullcred.healthEnabled" -}}
{{- if and .Values.health.enabled (include "pullcred.copyNames" .) }}true{{ end -}}
{{- end }}

{{/* Whether the credentials controller looks for Pods that lack a pull Secret. */}}
{{- define "pullcred.auditEnabled" -}}
{{- if and .Values.audit.enabled (include "pullcred.credentialsEnabled" .) }}true{{ end -}}
{{- end }}

{{/* The names of the copies, as a list in YAML: the Secrets of rules with a login. Never an empty list: to RBAC that is every Secret. */}}
{{- define "pullcred.copyNames" -}}
{{- $names := list }}
{{- if .Values.mappingFrom.configMap }}
{{- $names = .Values.credentials.secretNames | default list }}
{{- else if .Values.mapping.logins }}
{{- range .Values.mapping.rules }}
{{- if .login }}{{ $names = append $names .secret }}{{ end }}
{{- end }}
{{- end }}
{{- with $names | uniq | sortAlpha }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* The names of the Secrets with logins that people keep, likewise. */}}
{{- define "pullcred.loginSecretNames" -}}
{{- $names := list }}
{{- if .Values.mappingFrom.configMap }}
{{- $names = .Values.credentials.loginSecretNames | default list }}
{{- else }}
{{- range .Values.mapping.logins }}
{{- with .secret }}{{ $names = append $names . }}{{ end }}
{{- end }}
{{- end }}
{{- with $names | uniq | sortAlpha }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* Whether a Job at install and upgrade writes the caBundle, and the controller never does. */}}
{{- define "pullcred.publishByJob" -}}
{{- if and (include "pullcred.controllerEnabled" .) (eq .Values.certificates.self.publish "job") }}true{{ end -}}
{{- end }}

{{/* Whether a Job at uninstall removes the webhook configuration. */}}
{{- define "pullcred.unregisterEnabled" -}}
{{- if and .Values.webhook.enabled .Values.unregisterHook.enabled }}true{{ end -}}
{{- end }}

{{- define "pullcred.testsEnabled" -}}
{{- if and .Values.webhook.enabled .Values.tests.enabled (not .Values.mappingFrom.configMap) }}true{{ end -}}
{{- end }}

{{/* The annotations of what the Job that publishes needs, with a weight. */}}
{{- define "pullcred.publishHook" -}}
helm.sh/hook: post-install,post-upgrade,post-rollback
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end }}

{{/* The same for `helm test`. */}}
{{- define "pullcred.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end }}

{{/* What the schema can't say. */}}
{{- define "pullcred.validate" -}}
{{- if and .Values.mappingFrom.configMap (or .Values.mapping.rules .Values.mapping.always .Values.mapping.logins .Values.mapping.discover) -}}
{{- fail "both mapping and mappingFrom.configMap are set: the mapping is in one or the other" -}}
{{- end -}}
{{- include "pullcred.validateCredentials" . -}}
{{- if not (or .Values.mappingFrom.configMap .Values.mapping.rules .Values.mapping.always .Values.mapping.discover (include "pullcred.testsEnabled" .)) -}}
{{- fail "the mapping is empty, and pullcred doesn't start with an empty one: write mapping.rules, such as [{registries: [registry.example.com], secret: example}]" -}}
{{- end -}}
{{- range $rule, $_ := .Values.mapping.rules -}}
{{- range $registry := .registries -}}
{{- $where := printf "mapping.rules[%d].registries: %q" $rule $registry -}}
{{- $path := regexReplaceAll "^[^/]*/?" $registry "" -}}
{{- if contains "://" $registry -}}
{{- fail (printf "%s has a scheme: write %s" $where (regexReplaceAll "^.*://" $registry "")) -}}
{{- else if regexMatch "\\s" $registry -}}
{{- fail (printf "%s has white space in it" $where) -}}
{{- else if contains "@" $registry -}}
{{- fail (printf "%s has an @: leave out user name and digest" $where) -}}
{{- else if contains ":" $path -}}
{{- fail (printf "%s has a tag: write %s, which covers all its tags" $where (regexReplaceAll ":[^/:]*$" $registry "")) -}}
{{- else if contains "*" $path -}}
{{- fail (printf "%s has a * in its path: a path covers all that is below it, so leave it out: %s" $where (regexReplaceAll "/[^/*]*\\*.*$" $registry "")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq .Release.Namespace "kube-system" -}}
{{- fail "pullcred doesn't go into kube-system: its ResourceQuota, priority and policies are for a namespace of its own. Write --namespace pullcred --create-namespace" -}}
{{- end -}}
{{- if and .Values.webhook.hostNetwork (or (eq (int .Values.webhook.ports.https) 10250) (eq (int .Values.webhook.ports.admin) 10250)) -}}
{{- fail "webhook.hostNetwork is on, and port 10250 of each node is the kubelet's: choose another for webhook.ports" -}}
{{- end -}}
{{- range (.Values.webhook.enabled | ternary (lookup "admissionregistration.k8s.io/v1" "MutatingWebhookConfiguration" "" "") dict).items -}}
{{- $other := . -}}
{{- $annotations := .metadata.annotations | default dict -}}
{{- $ours := and (eq (index $annotations "meta.helm.sh/release-name" | default "") $.Release.Name) (eq (index $annotations "meta.helm.sh/release-namespace" | default "") $.Release.Namespace) -}}
{{- range .webhooks -}}
{{- if and (eq .name (include "pullcred.entryName" $)) (not $ours) (ne $other.metadata.name (include "pullcred.fullname" $)) -}}
{{- fail (printf "this cluster has pullcred already, as MutatingWebhookConfiguration %s: a second one would be asked about the same Pods. One is enough: its mapping can have rules for some namespaces (mapping.rules[].namespaces). To replace it, remove that one first" $other.metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $certificates := .Values.webhook.enabled | ternary .Values.certificates (dict "mode" "none") -}}
{{- $fullname := include "pullcred.fullname" . -}}
{{- range list "-tls" "-ca" "-cm-tls" "-cm-ca" -}}
{{- if and (eq $certificates.mode "existingSecret") (eq $certificates.existingSecret.name (print $fullname .)) -}}
{{- fail (printf "certificates.existingSecret.name: %s is the name of a Secret of another certificates.mode: choose another, or a change of mode would find yours in its place" $certificates.existingSecret.name) -}}
{{- end -}}
{{- end -}}
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

{{/* What must hold of logins. The hook that reads the mapping refuses what is wrong within it; here is what would make wrong objects. */}}
{{- define "pullcred.validateCredentials" -}}
{{- $own := .Values.credentials -}}
{{- if .Values.mappingFrom.configMap -}}
{{- $copies := $own.secretNames -}}
{{- $logins := $own.loginSecretNames -}}
{{- $fetched := $own.fetched.logins -}}
{{- if and $copies (not $logins) (not $fetched) -}}
{{- fail "credentials.secretNames is set and credentials.loginSecretNames is not: write the names of the logins' Secrets there, those under logins[].secret of the mapping in your ConfigMap, such as [acme-robot], or the names of logins that pullcred fetches under credentials.fetched.logins" -}}
{{- else if and $fetched (not $copies) -}}
{{- fail "credentials.fetched.logins is set and credentials.secretNames is not: write the names of the copies there, those under rules[].secret of the rules with a login, such as [acme-robot]" -}}
{{- else if and (not $fetched) (or $own.fetched.keySecretNames $own.fetched.serviceAccountNames $own.fetched.ambient $own.fetched.audiences) -}}
{{- fail "credentials.fetched has names and credentials.fetched.logins has none: write the names of the logins that pullcred fetches there, those under logins[].name" -}}
{{- else if and $logins (not $copies) -}}
{{- fail "credentials.loginSecretNames is set and credentials.secretNames is not: write the names of the copies there, those under rules[].secret of the rules with a login, such as [acme-robot]" -}}
{{- end -}}
{{- if and (include "pullcred.credentialsEnabled" .) (ne .Values.mappingFrom.key "pullcred.yaml") -}}
{{- fail (printf "mappingFrom.key is %s, and the credentials controller reads the key pullcred.yaml: rename it in ConfigMap %s, and leave mappingFrom.key out" .Values.mappingFrom.key .Values.mappingFrom.configMap) -}}
{{- end -}}
{{- else -}}
{{- if or $own.secretNames $own.loginSecretNames -}}
{{- fail "credentials.secretNames and credentials.loginSecretNames are for mappingFrom alone: the chart takes these names from mapping, so leave both out" -}}
{{- end -}}
{{- if or $own.fetched.logins $own.fetched.keySecretNames $own.fetched.serviceAccountNames $own.fetched.ambient $own.fetched.audiences -}}
{{- fail "credentials.fetched is for mappingFrom alone: the chart takes these names from mapping, so leave it out" -}}
{{- end -}}
{{- if not (kindIs "invalid" .Values.discovery.enabled) -}}
{{- fail "discovery.enabled is for mappingFrom alone: the chart takes it from mapping.discover, so leave it out" -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.mapping.logins }}{{ $names = append $names .name }}{{ end -}}
{{- range $rule, $_ := .Values.mapping.rules -}}
{{- if and .login (not (has .login $names)) -}}
{{- fail (printf "mapping.rules[%d].login: there is no login %s: write it under mapping.logins, as {name: %s, secret: NAME-OF-ITS-SECRET}" $rule .login .login) -}}
{{- else if and .login (not .namespaces) (not .namespaceLabels) -}}
{{- fail (printf "mapping.rules[%d]: a rule with a login says where its Secret is made: write namespaces, such as [\"team-*\"], or namespaceLabels, such as {tier: prod}" $rule) -}}
{{- else if and .namespaceLabels (not .login) -}}
{{- fail (printf "mapping.rules[%d].namespaceLabels say where a login fills the rule's Secret, and the rule has no login: write one, or use namespaces" $rule) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.mapping.logins (not (include "pullcred.copyNames" .)) -}}
{{- fail (printf "mapping.logins: no rule uses one: write login: %s in the rules whose Secret it fills, or leave mapping.logins out" (first $names)) -}}
{{- end -}}
{{- end -}}
{{- if and (include "pullcred.discoveryEnabled" .) (not .Values.reports.enabled) -}}
{{- fail "the mapping has discover, and reports.enabled is false: what is found reaches the webhook by reports alone. Leave reports.enabled true, or leave discover out" -}}
{{- end -}}
{{- if and .Values.health.enabled (not (include "pullcred.healthEnabled" .)) -}}
{{- fail (printf "health.enabled is true, and there is no login to try: write %s, or leave health.enabled out" (empty .Values.mappingFrom.configMap | ternary "mapping.logins, and login in the rules that they fill" "credentials.secretNames and credentials.loginSecretNames")) -}}
{{- end -}}
{{- if and .Values.audit.enabled (not (include "pullcred.auditEnabled" .)) -}}
{{- fail (printf "audit.enabled is true, and there is no credentials controller that looks for Pods: write %s, or leave audit.enabled out, and run pullcred check --live" (empty .Values.mappingFrom.configMap | ternary "mapping.logins or mapping.discover" "credentials.secretNames and credentials.loginSecretNames, or discovery.enabled: true")) -}}
{{- end -}}
{{- range list "health" "audit" -}}
{{- if and (index $.Values .).enabled (not $.Values.reports.enabled) -}}
{{- fail (printf "%s.enabled is true, and reports.enabled is false: what is found is said in reports. Leave reports.enabled true, or leave %s.enabled out" . .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.discovery.allNamespaces (not (include "pullcred.discoveryEnabled" .)) -}}
{{- fail (printf "discovery.allNamespaces is true, and there is no discovery that needs the right to read Secrets: write %s, or leave discovery.allNamespaces out" (empty .Values.mappingFrom.configMap | ternary "mapping.discover, such as {namespaces: [\"sandbox-*\"]}" "discovery.enabled: true")) -}}
{{- end -}}
{{- include "pullcred.validateReports" . -}}
{{- if and (include "pullcred.pluginsEnabled" .) $own.plugins.volume.image -}}
{{- fail "credentials.plugins.volume is an image, and Kubernetes mounts images without the permission to execute: leave it out, and copy the plugins by credentials.plugins.initContainers" -}}
{{- end -}}
{{- if and (include "pullcred.pluginsEnabled" .) (or (empty $own.plugins.volume) (hasKey $own.plugins.volume "emptyDir")) (not $own.plugins.initContainers) -}}
{{- fail "a login has plugin, and credentials.plugins.initContainers is empty: write one that copies the plugins into the volume plugins, or another volume under credentials.plugins.volume" -}}
{{- end -}}
{{- if and (kindIs "bool" $own.plugins.enabled) (not .Values.mappingFrom.configMap) -}}
{{- fail "credentials.plugins.enabled is for mappingFrom alone: the chart takes it from mapping.logins, so leave it out" -}}
{{- end -}}
{{- if not (or .Values.webhook.enabled (include "pullcred.credentialsEnabled" .)) -}}
{{- if .Values.mappingFrom.configMap -}}
{{- fail "webhook.enabled is false, and without the names of copies there is no credentials controller: nothing would be left. Write credentials.secretNames and credentials.loginSecretNames, or leave webhook.enabled true" -}}
{{- else -}}
{{- fail "webhook.enabled is false, and without logins there is no credentials controller: nothing would be left. Write mapping.logins, and login in the rules that they fill, or leave webhook.enabled true" -}}
{{- end -}}
{{- end -}}
{{- range (include "pullcred.credentialsEnabled" . | empty | ternary dict (lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "")).items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- if and (eq (index $labels "app.kubernetes.io/component" | default "") "credentials") (eq (index $labels "helm.sh/chart" | default "" | trunc 9) "pullcred-") (ne .metadata.name (include "pullcred.credentialsName" $)) -}}
{{- $other := . -}}
{{- range .rules -}}
{{- range has "secrets" .resources | ternary .resourceNames list -}}
{{- if has . (include "pullcred.copyNames" $ | fromYamlArray) -}}
{{- fail (printf "another release of pullcred keeps copies named %s already, by ClusterRole %s: each would collect those of the other. Name the copies of this one otherwise, in rules[].secret, or remove that release" . $other.metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What must hold of reports where other releases are in the cluster. */}}
{{- define "pullcred.validateReports" -}}
{{- if include "pullcred.reportsEnabled" . -}}
{{- range (lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- if and (eq (index $labels "app.kubernetes.io/component" | default "") "credentials") (eq (index $labels "helm.sh/chart" | default "" | trunc 9) "pullcred-") (ne .metadata.name (include "pullcred.credentialsName" $)) -}}
{{- $other := . -}}
{{- range .rules -}}
{{- if has "pullsecretreports" .resources -}}
{{- fail (printf "another release of pullcred writes reports already, by ClusterRole %s: a namespace has one report, and each release would overwrite that of the other. Set reports.enabled to false in one of them; its copies need no reports" $other.metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
