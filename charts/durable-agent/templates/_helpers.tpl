{{/* Every name of the chart comes from here. */}}
{{- define "durable-agent.name" -}}
{{- if contains "durable-agent" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-durable-agent" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- define "durable-agent.operator" -}}{{ include "durable-agent.name" . }}-operator{{- end }}
{{- define "durable-agent.webhook" -}}{{ include "durable-agent.name" . }}-webhook{{- end }}
{{- define "durable-agent.webhookSecret" -}}{{ include "durable-agent.name" . }}-webhook-tls{{- end }}
{{- define "durable-agent.credentials" -}}{{ include "durable-agent.name" . }}-credentials{{- end }}
{{- define "durable-agent.postgres" -}}{{ include "durable-agent.name" . }}-postgres{{- end }}
{{- define "durable-agent.nats" -}}{{ include "durable-agent.name" . }}-nats{{- end }}

{{- define "durable-agent.labels" -}}
app.kubernetes.io/name: durable-agent
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "durable-agent.operatorSelector" -}}
app.kubernetes.io/name: durable-agent
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "durable-agent.image" -}}{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}{{- end }}

{{/* Where the default credentials come from: the user's Secrets, or one of ours. */}}
{{- define "durable-agent.postgresSecret" -}}{{ .Values.postgres.existingSecret | default (include "durable-agent.credentials" .) }}{{- end }}
{{- define "durable-agent.natsSecret" -}}{{ .Values.nats.existingSecret | default (include "durable-agent.credentials" .) }}{{- end }}

{{/* The restricted Pod Security level. */}}
{{- define "durable-agent.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* As a JSON list. Never our own namespace: install and upgrade must not wait for themselves. */}}
{{- define "durable-agent.excludedNamespaces" -}}
{{ concat (list .Release.Namespace "kube-system") .Values.webhook.excludedNamespaces | uniq | toJson }}
{{- end }}

{{/* What every run of the operator's image is told. */}}
{{- define "durable-agent.environment" -}}
- { name: POD_NAMESPACE, valueFrom: { fieldRef: { fieldPath: metadata.namespace } } }
- { name: POD_NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
- { name: SIDECAR_IMAGE, value: {{ include "durable-agent.image" (dict "image" .Values.sidecar.image "root" .) | quote }} }
- { name: SIDECAR_IMAGE_PULL_POLICY, value: {{ .Values.sidecar.image.pullPolicy }} }
- { name: SIDECAR_CPU_REQUEST, value: {{ .Values.sidecar.requests.cpu | quote }} }
- { name: SIDECAR_MEMORY_REQUEST, value: {{ .Values.sidecar.requests.memory | quote }} }
- { name: DATABASE_URL_FILE, value: /etc/durable-agent/postgres/url }
- { name: DATABASE_CA_FILE, value: /etc/durable-agent/postgres/ca.crt }
- { name: NATS_URL_FILE, value: /etc/durable-agent/nats/url }
- { name: NATS_CA_FILE, value: /etc/durable-agent/nats/ca.crt }
- { name: NATS_CREDS_FILE, value: /etc/durable-agent/nats/user.creds }
- { name: WATCH_NAMESPACES, value: {{ join "," .Values.watchNamespaces | quote }} }
- { name: EXCLUDED_NAMESPACES, value: {{ include "durable-agent.excludedNamespaces" . | fromJsonArray | join "," | quote }} }
- { name: WEBHOOK_PORT, value: {{ .Values.webhook.port | quote }} }
- { name: WEBHOOK_SERVICE, value: {{ include "durable-agent.webhook" . }} }
- { name: WEBHOOK_SECRET, value: {{ include "durable-agent.webhookSecret" . }} }
- { name: WEBHOOK_CONFIGURATION, value: {{ include "durable-agent.name" . }} }
{{- if .Values.certManager.enabled }}
- { name: WEBHOOK_CERT_DIR, value: /etc/durable-agent/webhook }
{{- end }}
- { name: LEASE_NAME, value: {{ include "durable-agent.operator" . }} }
- { name: LEASE_MS, value: {{ .Values.leaderElection.leaseMs | quote }} }
- { name: LOG_LEVEL, value: {{ .Values.logLevel }} }
{{- end }}
