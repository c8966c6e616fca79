{{/* The static file: `config` of the values, and what the chart knows better. */}}

{{/* Where the files of Secrets are. Not below /etc/tailsieve: that is a volume already. */}}
{{- define "tailsieve.secretsFolder" -}}
/var/run/secrets/tailsieve
{{- end }}

{{/* The exporters by name, as a map; that of `export` is `default`. */}}
{{- define "tailsieve.exporters" -}}
{{- with .Values.config -}}
{{- if .exporters -}}
{{- toYaml .exporters -}}
{{- else if .export -}}
{{- toYaml (dict "default" .export) -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}
{{- end }}

{{/* An exporter's name as part of a path, and of a variable. */}}
{{- define "tailsieve.exporterPath" -}}
{{- regexReplaceAll "[^A-Za-z0-9]+" . "-" -}}
{{- end }}

{{- define "tailsieve.exporterVariable" -}}
{{- printf "EXPORTER_%s" (regexReplaceAll "[^A-Za-z0-9]+" . "_" | upper) -}}
{{- end }}

{{- define "tailsieve.headerVariable" -}}
{{- printf "%s_HEADER_%s" (include "tailsieve.exporterVariable" .exporter) (regexReplaceAll "[^A-Za-z0-9]+" .header "_" | upper) -}}
{{- end }}

{{/* Settings of librdkafka that `kafka.tls` and `kafka.sasl` stand for. */}}
{{- define "tailsieve.kafkaProperties" -}}
{{- $tls := .Values.kafka.tls -}}
{{- $sasl := .Values.kafka.sasl -}}
{{- $folder := printf "%s/kafka" (include "tailsieve.secretsFolder" .) -}}
{{- $properties := dict -}}
{{- if or $tls.enabled $sasl.mechanism -}}
{{- $protocol := ternary (ternary "SASL_SSL" "SSL" (not (empty $sasl.mechanism))) "SASL_PLAINTEXT" $tls.enabled -}}
{{- $_ := set $properties "security.protocol" $protocol -}}
{{- end -}}
{{- if and $tls.enabled $tls.existingSecret -}}
{{- if $tls.caKey -}}{{- $_ := set $properties "ssl.ca.location" (printf "%s/ca.crt" $folder) -}}{{- end -}}
{{- if $tls.certKey -}}
{{- $_ := set $properties "ssl.certificate.location" (printf "%s/tls.crt" $folder) -}}
{{- $_ := set $properties "ssl.key.location" (printf "%s/tls.key" $folder) -}}
{{- end -}}
{{- end -}}
{{- with $sasl.mechanism -}}
{{- $_ := set $properties "sasl.mechanism" . -}}
{{- $_ := set $properties "sasl.username" "${env:KAFKA_USERNAME}" -}}
{{- $_ := set $properties "sasl.password" "${env:KAFKA_PASSWORD}" -}}
{{- end -}}
{{- toYaml $properties -}}
{{- end }}

{{/* Options of one exporter that its entry in `exporterSecrets` stands for. */}}
{{- define "tailsieve.exporterOptions" -}}
{{- $name := .name -}}
{{- $secrets := .secrets -}}
{{- $folder := printf "%s/exporters/%s" (include "tailsieve.secretsFolder" .root) (include "tailsieve.exporterPath" $name) -}}
{{- $variable := include "tailsieve.exporterVariable" $name -}}
{{- $options := dict -}}
{{- with $secrets.bearerToken -}}
{{- $_ := set $options "auth" (dict "bearer" (dict "token_file" (printf "%s/token" $folder))) -}}
{{- end -}}
{{- with $secrets.basicAuth -}}
{{- $login := dict "username" (printf "${env:%s_USERNAME}" $variable) "password" (printf "${env:%s_PASSWORD}" $variable) -}}
{{- $_ := set $options "auth" (dict "basic" $login) -}}
{{- end -}}
{{- with $secrets.headers -}}
{{- $headers := dict -}}
{{- range $header, $_ := . -}}
{{- $_ := set $headers $header (printf "${env:%s}" (include "tailsieve.headerVariable" (dict "exporter" $name "header" $header))) -}}
{{- end -}}
{{- $_ := set $options "headers" $headers -}}
{{- end -}}
{{- with $secrets.tls -}}
{{- $tls := dict -}}
{{- if ne (toString .caKey) "" -}}{{- $_ := set $tls "ca_file" (printf "%s/ca.crt" $folder) -}}{{- end -}}
{{- if .certKey -}}
{{- $_ := set $tls "cert_file" (printf "%s/tls.crt" $folder) -}}
{{- $_ := set $tls "key_file" (printf "%s/tls.key" $folder) -}}
{{- end -}}
{{- $_ := set $options "tls" $tls -}}
{{- end -}}
{{- toYaml $options -}}
{{- end }}

{{/* Whether members serve dropped traces, and whether pods of their own do. */}}
{{- define "tailsieve.membersServe" -}}
{{- if and .Values.retrieval.enabled (eq .Values.retrieval.mode "member") -}}true{{- end -}}
{{- end }}

{{- define "tailsieve.othersServe" -}}
{{- if and .Values.retrieval.enabled (eq .Values.retrieval.mode "deployment") -}}true{{- end -}}
{{- end }}

{{/* Options of `config.retrieval` that `retrieval` stands for. */}}
{{- define "tailsieve.retrievalOptions" -}}
{{- $folder := printf "%s/retrieval" (include "tailsieve.secretsFolder" .) -}}
{{- $options := dict -}}
{{- with .Values.retrieval -}}
{{- if .enabled -}}
{{- $_ := set $options "listen" (printf "0.0.0.0:%d" (int .port)) -}}
{{- if .existingSecret -}}{{- $_ := set $options "token_file" (printf "%s/token" $folder) -}}{{- end -}}
{{- if .tls.existingSecret -}}
{{- $tls := dict "cert_file" (printf "%s/tls.crt" $folder) "key_file" (printf "%s/tls.key" $folder) -}}
{{- if .tls.clientCaKey -}}{{- $_ := set $tls "client_ca_file" (printf "%s/ca.crt" $folder) -}}{{- end -}}
{{- $_ := set $options "tls" $tls -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $options -}}
{{- end }}

{{/* Sets what all pods are told: (dict "root" $ "config" $config). */}}
{{- define "tailsieve.setCommon" -}}
{{- $config := .config -}}
{{- $_ := set $config "policies" "policies.yaml" -}}
{{- $properties := include "tailsieve.kafkaProperties" .root | fromYaml -}}
{{- if $properties -}}
{{- $_ := set $config.kafka "properties" (merge (dict) $properties (default (dict) $config.kafka.properties)) -}}
{{- end -}}
{{- end }}

{{- define "tailsieve.setRetrieval" -}}
{{- $config := .config -}}
{{- with include "tailsieve.retrievalOptions" .root | fromYaml -}}
{{- $_ := set $config "retrieval" (merge (dict) . (default (dict) $config.retrieval)) -}}
{{- end -}}
{{- end }}

{{- define "tailsieve.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- include "tailsieve.setCommon" (dict "root" . "config" $config) -}}
{{- if .Values.admin.existingSecret -}}
{{- $_ := set $config.admin "token_file" (printf "%s/admin/token" (include "tailsieve.secretsFolder" .)) -}}
{{- end -}}
{{- if include "tailsieve.othersServe" . -}}
{{- $_ := unset $config "retrieval" -}}
{{- else -}}
{{- include "tailsieve.setRetrieval" (dict "root" . "config" $config) -}}
{{- end -}}
{{- range $name, $secrets := .Values.exporterSecrets -}}
{{- $exporter := get (default (dict "default" $config.export) $config.exporters) $name -}}
{{- $options := include "tailsieve.exporterOptions" (dict "root" $ "name" $name "secrets" $secrets) | fromYaml -}}
{{- if kindIs "map" $exporter -}}{{- $_ := mergeOverwrite $exporter $options -}}{{- end -}}
{{- end -}}
# The static file of a member, from the value `config`.
{{ toYaml $config }}
{{- end }}

{{/* Nothing is exported or changed there: it has no secrets of backends, and no token of the admin pages. */}}
{{- define "tailsieve.retrievalConfig" -}}
{{- $config := deepCopy .Values.config -}}
{{- include "tailsieve.setCommon" (dict "root" . "config" $config) -}}
{{- include "tailsieve.setRetrieval" (dict "root" . "config" $config) -}}
{{- $_ := set $config "admin" (dict "listen" $config.admin.listen "allow_changes" false) -}}
# The static file of pods that serve dropped traces, from the values `config` and `retrieval`.
{{ toYaml $config }}
{{- end }}

{{- define "tailsieve.policies" -}}
{{- if .Values.policiesFile -}}
{{ .Values.policiesFile }}
{{- else -}}
# Which traces are kept, from the value `policies`. Members read this again when it changes.
{{ toYaml .Values.policies }}
{{- end -}}
{{- end }}

{{- define "tailsieve.adminPort" -}}
{{- include "tailsieve.port" .Values.config.admin.listen -}}
{{- end }}
