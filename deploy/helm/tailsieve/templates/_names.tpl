{{/* Names and labels. */}}

{{- define "tailsieve.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 52 characters: the name of a pod, which is a label too, has a number behind it, and the StatefulSet a hash. */}}
{{- define "tailsieve.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $both .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "tailsieve.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tailsieve.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of the pods of members, not of the pod of `helm test`. */}}
{{- define "tailsieve.memberLabels" -}}
{{ include "tailsieve.selectorLabels" . }}
app.kubernetes.io/component: member
{{- end }}

{{/* Of pods that serve dropped traces and are no members. */}}
{{- define "tailsieve.retrievalLabels" -}}
{{ include "tailsieve.selectorLabels" . }}
app.kubernetes.io/component: retrieval
{{- end }}

{{- define "tailsieve.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "tailsieve.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of a resource: (dict "root" $ "name" "-suffix" "labels" {} "annotations" {} "namespace" "") */}}
{{- define "tailsieve.metadata" -}}
{{- $root := .root -}}
name: {{ include "tailsieve.fullname" $root }}{{ .suffix }}
namespace: {{ default $root.Release.Namespace .namespace }}
labels:
  {{- include "tailsieve.labels" $root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (default (dict) .annotations) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tailsieve.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "tailsieve.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "tailsieve.image" -}}
{{- with .Values.image.digest }}
{{- printf "%s@%s" $.Values.image.repository . }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "tailsieve.policiesConfigMap" -}}
{{- default (printf "%s-policies" (include "tailsieve.fullname" .)) .Values.existingPolicies.configMap }}
{{- end }}
