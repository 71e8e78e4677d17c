{{/* The name of everything: the operator is there once in a cluster. */}}
{{- define "operator.name" -}}
fluent-credential-operator
{{- end -}}

{{- define "operator.labels" -}}
app.kubernetes.io/name: {{ include "operator.name" . }}
{{- end -}}

{{- define "operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The rules of a role in files/, which "make chart" copies from config/rbac. */}}
{{- define "operator.rules" -}}
{{- $role := fromYaml (.root.Files.Get (printf "files/%s" .file)) -}}
rules:
{{- toYaml $role.rules | nindent 2 }}
{{- end -}}

{{/* Whom the bindings are for. */}}
{{- define "operator.subject" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "operator.name" . }}
    namespace: {{ .Release.Namespace }}
{{- end -}}
