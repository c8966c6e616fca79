{{/* What the pods of the members, those that serve dropped traces, and the pod of `helm test` have in common. */}}

{{- define "tailsieve.env" -}}
{{ include "tailsieve.kafkaEnv" . }}
{{- range $name, $secrets := .Values.exporterSecrets }}
{{- $variable := include "tailsieve.exporterVariable" $name }}
{{- with $secrets.basicAuth }}
{{- include "tailsieve.secretVariable" (dict "name" (printf "%s_USERNAME" $variable) "secret" .existingSecret "key" (default "username" .usernameKey)) }}
{{- include "tailsieve.secretVariable" (dict "name" (printf "%s_PASSWORD" $variable) "secret" .existingSecret "key" (default "password" .passwordKey)) }}
{{- end }}
{{- range $header, $from := $secrets.headers }}
{{- $of := include "tailsieve.headerVariable" (dict "exporter" $name "header" $header) }}
{{- include "tailsieve.secretVariable" (dict "name" $of "secret" $from.existingSecret "key" $from.key) }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tailsieve.kafkaEnv" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- with .Values.kafka.sasl }}
{{- if .mechanism }}
{{- include "tailsieve.secretVariable" (dict "name" "KAFKA_USERNAME" "secret" .existingSecret "key" .usernameKey) }}
{{- include "tailsieve.secretVariable" (dict "name" "KAFKA_PASSWORD" "secret" .existingSecret "key" .passwordKey) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "tailsieve.secretVariable" }}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end }}

{{/* Secrets of members that are files, as sources of one projected volume. */}}
{{- define "tailsieve.secretSources" -}}
{{- include "tailsieve.kafkaSources" . }}
{{- with .Values.admin }}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items:
      - key: {{ .tokenKey }}
        path: admin/token
{{- end }}
{{- end }}
{{- if include "tailsieve.membersServe" . }}
{{- include "tailsieve.retrievalSources" . }}
{{- end }}
{{- range $name, $secrets := .Values.exporterSecrets }}
{{- $folder := printf "exporters/%s" (include "tailsieve.exporterPath" $name) }}
{{- with $secrets.bearerToken }}
- secret:
    name: {{ .existingSecret }}
    items:
      - key: {{ default "token" .key }}
        path: {{ $folder }}/token
{{- end }}
{{- with $secrets.tls }}
{{- $caKey := ternary "ca.crt" .caKey (kindIs "invalid" .caKey) }}
{{- include "tailsieve.certificates" (dict "tls" . "caKey" $caKey "folder" $folder) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "tailsieve.kafkaSources" }}
{{- with .Values.kafka.tls }}
{{- if and .enabled .existingSecret }}
{{- include "tailsieve.certificates" (dict "tls" . "caKey" .caKey "folder" "kafka") }}
{{- end }}
{{- end }}
{{- end }}

{{- define "tailsieve.retrievalSources" }}
{{- with .Values.retrieval }}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items:
      - key: {{ .tokenKey }}
        path: retrieval/token
{{- end }}
{{- if .tls.existingSecret }}
{{- include "tailsieve.certificates" (dict "tls" .tls "caKey" .tls.clientCaKey "folder" "retrieval") }}
{{- end }}
{{- end }}
{{- end }}

{{- define "tailsieve.certificates" }}
{{- if or .caKey .tls.certKey }}
- secret:
    name: {{ .tls.existingSecret }}
    items:
      {{- with .caKey }}
      - key: {{ . }}
        path: {{ $.folder }}/ca.crt
      {{- end }}
      {{- with .tls.certKey }}
      - key: {{ . }}
        path: {{ $.folder }}/tls.crt
      - key: {{ $.tls.keyKey }}
        path: {{ $.folder }}/tls.key
      {{- end }}
{{- end }}
{{- end }}

{{- define "tailsieve.volumeMounts" -}}
{{- include "tailsieve.mounts" (dict "root" . "secrets" (include "tailsieve.secretSources" .)) }}
{{- end }}

{{/* (dict "root" $ "secrets" SOURCES) */}}
{{- define "tailsieve.mounts" -}}
- name: config
  mountPath: /etc/tailsieve
  readOnly: true
{{- if trim .secrets }}
- name: secrets
  mountPath: {{ include "tailsieve.secretsFolder" .root }}
  readOnly: true
{{- end }}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Whole volumes and no subPath: the kubelet updates only those, and members see new policies. */}}
{{- define "tailsieve.volumes" -}}
- name: config
  projected:
    sources:
      - configMap:
          name: {{ include "tailsieve.fullname" . }}
          items:
            - key: tailsieve.yaml
              path: tailsieve.yaml
      - configMap:
          name: {{ include "tailsieve.policiesConfigMap" . }}
          items:
            - key: {{ .Values.existingPolicies.configMap | empty | ternary "policies.yaml" .Values.existingPolicies.key }}
              path: policies.yaml
{{- include "tailsieve.otherVolumes" (dict "root" . "secrets" (include "tailsieve.secretSources" .)) }}
{{- end }}

{{- define "tailsieve.otherVolumes" }}
{{- with trim .secrets }}
- name: secrets
  projected:
    # Octal 0440: for the user and group of the container only.
    defaultMode: 288
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What is the same for every pod: who it is, what it may do, where it may run. */}}
{{- define "tailsieve.podSettings" -}}
serviceAccountName: {{ include "tailsieve.serviceAccountName" . }}
automountServiceAccountToken: false
{{- /* Nothing asks for them, and a namespace with many Services would have many. */}}
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
