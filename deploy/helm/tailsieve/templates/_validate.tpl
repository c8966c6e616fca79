{{/*
What makes no sense is refused here, all of it at once, each with what to do about it. What is
merely of the wrong shape is refused by values.schema.json before.
*/}}

{{- define "tailsieve.validate" -}}
{{- $errors := list -}}
{{- range list "places" "members" "stopping" "memory" "adminSecret" "retrieval" "kafkaSecrets" "exporterSecrets" "policies" "autoscaling" "monitoring" "network" -}}
{{- $errors = concat $errors (include (printf "tailsieve.validate.%s" .) $ | fromYamlArray) -}}
{{- end -}}
{{- if $errors -}}
{{- fail (printf "these values cannot be used:\n\n  - %s\n" (join "\n  - " $errors)) -}}
{{- end -}}
{{- end }}

{{- define "tailsieve.validate.places" -}}
{{- $errors := list -}}
{{- $config := .Values.config -}}
{{- if not $config.kafka.brokers -}}
{{- $errors = append $errors "config.kafka.brokers is empty: say where Kafka is, for example [kafka:9092]" -}}
{{- end -}}
{{- if and $config.export $config.exporters -}}
{{- $errors = append $errors "config.export and config.exporters are both given: one exporter goes into the former, several into the latter" -}}
{{- else if not (include "tailsieve.exporters" . | fromYaml) -}}
{{- $errors = append $errors "neither config.export nor config.exporters is given: say where kept traces go, for example config.export.endpoint: tempo:4317" -}}
{{- end -}}
{{- $listen := toString $config.admin.listen -}}
{{- if has (include "tailsieve.host" $listen) (list "localhost" "127.0.0.1" "::1") -}}
{{- $errors = append $errors (printf "config.admin.listen is %s: the kubelet and Prometheus come from outside the pod, so set 0.0.0.0:9464" $listen) -}}
{{- else if not (include "tailsieve.adminPort" .) -}}
{{- $errors = append $errors (printf "config.admin.listen is %s: the chart needs an address with a port, such as 0.0.0.0:9464" $listen) -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}

{{- define "tailsieve.validate.members" -}}
{{- $errors := list -}}
{{- $replicas := int .Values.replicaCount -}}
{{- $partitions := int .Values.topic.partitions -}}
{{- $useful := include "tailsieve.usefulMembers" . | int -}}
{{- if and $partitions (not .Values.autoscaling.enabled) (gt $replicas $useful) -}}
{{- $errors = append $errors (printf "replicaCount is %d, but %d partitions (topic.partitions) with %d consumers a member are enough for %d members: the others would have nothing to do" $replicas $partitions (int (default 1 .Values.config.kafka.consumers)) $useful) -}}
{{- end -}}
{{- $instance := .Values.config.kafka.group_instance_id -}}
{{- if and $instance (not (contains "POD_NAME}" (toString $instance))) -}}
{{- $errors = append $errors (printf "config.kafka.group_instance_id is %s for every member, but each needs one of its own: put ${env:POD_NAME} into it" $instance) -}}
{{- end -}}
{{- with .Values.podDisruptionBudget -}}
{{- $floor := toString .minAvailable -}}
{{- if and .enabled (regexMatch "^[0-9]+$" $floor) -}}
{{- $fewest := ternary (int $.Values.autoscaling.minReplicas) $replicas $.Values.autoscaling.enabled -}}
{{- if ge (int $floor) $fewest -}}
{{- $errors = append $errors (printf "podDisruptionBudget.minAvailable is %s of %d members: no node could ever be drained" $floor $fewest) -}}
{{- end -}}
{{- end -}}
{{- if and .enabled (eq (toString .maxUnavailable) "0") (eq $floor "") -}}
{{- $errors = append $errors "podDisruptionBudget.maxUnavailable is 0: no node could ever be drained" -}}
{{- end -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}

{{- define "tailsieve.validate.stopping" -}}
{{- $errors := list -}}
{{- $stop := include "tailsieve.seconds" (default "30s" .Values.config.shutdown_timeout) -}}
{{- $grace := int .Values.terminationGracePeriodSeconds -}}
{{- if and $stop (le $grace (int $stop)) -}}
{{- $errors = append $errors (printf "terminationGracePeriodSeconds is %d, but config.shutdown_timeout is %s: pods would be killed before they have handed over; make it %d" $grace (toString .Values.config.shutdown_timeout) (add 15 (int $stop))) -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}

{{/* Bytes that a member surely takes when its buffer is full; docs/kubernetes.md has the sum. */}}
{{- define "tailsieve.memoryFloor" -}}
{{- $buffer := include "tailsieve.bytes" (default "1GiB" .Values.config.buffer.max_bytes) -}}
{{- $queue := include "tailsieve.bytes" (default "8MiB" .Values.config.buffer.queue_bytes) -}}
{{- if and $buffer $queue -}}
{{- addf 20971520 (mulf 1.3 (float64 $buffer)) (float64 $queue) | printf "%.0f" -}}
{{- end -}}
{{- end }}

{{/* The same with all that is there at the worst of times: the Kafka client, decisions, full queues of exporters. */}}
{{- define "tailsieve.memoryNeed" -}}
{{- $floor := include "tailsieve.memoryFloor" . -}}
{{- if $floor -}}
{{- $cache := default (dict) .Values.policies.decision_cache -}}
{{- $need := addf (float64 $floor) (mulf 37748736 (float64 (default 1 .Values.config.kafka.consumers))) -}}
{{- $need = addf $need (mulf 40 (float64 (default 1000000 $cache.max_entries))) -}}
{{- range $_, $exporter := include "tailsieve.exporters" . | fromYaml -}}
{{- $queue := default (dict) $exporter.sending_queue -}}
{{- $bytes := include "tailsieve.bytes" (default "64MiB" $queue.queue_size_bytes) -}}
{{- $need = addf $need (float64 (default "67108864" $bytes)) -}}
{{- end -}}
{{- printf "%.0f" $need -}}
{{- end -}}
{{- end }}

{{- define "tailsieve.memoryLimit" -}}
{{- with (default (dict) .Values.resources.limits).memory -}}{{- include "tailsieve.bytes" . -}}{{- end -}}
{{- end }}

{{- define "tailsieve.validate.memory" -}}
{{- $errors := list -}}
{{- $limit := include "tailsieve.memoryLimit" . -}}
{{- $floor := include "tailsieve.memoryFloor" . -}}
{{- if and $limit $floor (lt (float64 $limit) (float64 $floor)) -}}
{{- $errors = append $errors (printf "resources.limits.memory is %s, but a member takes %s when config.buffer.max_bytes (%s) is full, and %s at most: it would be killed for it; raise the one or lower the other" (toString .Values.resources.limits.memory) (include "tailsieve.mebibytes" $floor) (toString (default "1GiB" .Values.config.buffer.max_bytes)) (include "tailsieve.mebibytes" (include "tailsieve.memoryNeed" .))) -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}

{{/* Whether a text is a secret itself, and not the name of a variable or a file. */}}
{{- define "tailsieve.isLiteral" -}}
{{- if and . (not (contains "${" (toString .))) -}}true{{- end -}}
{{- end }}

{{- define "tailsieve.validate.adminSecret" -}}
{{- $errors := list -}}
{{- $admin := .Values.config.admin -}}
{{- if include "tailsieve.isLiteral" $admin.token -}}
{{- $errors = append $errors "config.admin.token is a token itself, which would be in a ConfigMap for everybody to read: put it into a Secret, and name that in admin.existingSecret" -}}
{{- end -}}
{{- if and .Values.admin.existingSecret (or $admin.token $admin.token_file) -}}
{{- $errors = append $errors "config.admin has a token, and admin.existingSecret names one, too: remove one of the two" -}}
{{- end -}}
{{- if and .Values.admin.existingSecret (eq (toString $admin.allow_changes) "false") -}}
{{- $errors = append $errors "admin.existingSecret is given, but config.admin.allow_changes is false: nobody would ever be asked for the token" -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}

{{- define "tailsieve.validate.retrieval" -}}
{{- $errors := list -}}
{{- $config := default (dict) .Values.config.retrieval -}}
{{- if include "tailsieve.isLiteral" $config.token -}}
{{- $errors = append $errors "config.retrieval.token is a token itself, which would be in a ConfigMap for everybody to read: put it into a Secret, and name that in retrieval.existingSecret" -}}
{{- end -}}
{{- range $option, $_ := include "tailsieve.retrievalOptions" . | fromYaml -}}
{{- if hasKey $config $option -}}
{{- $errors = append $errors (printf "config.retrieval has %s, and retrieval says it, too: remove one of the two" $option) -}}
{{- end -}}
{{- end -}}
{{- with .Values.retrieval -}}
{{- if and .existingSecret $config.token -}}
{{- $errors = append $errors "config.retrieval has a token, and retrieval.existingSecret names one, too: remove one of the two" -}}
{{- end -}}
{{- if and (not .enabled) (or .existingSecret .tls.existingSecret) -}}
{{- $errors = append $errors "retrieval has an existingSecret, but retrieval.enabled is false: nobody would be served" -}}
{{- end -}}
{{- if and (has $config.keep (list "on_request" "on_open")) (not (or .existingSecret $config.token $config.token_file)) -}}
{{- $errors = append $errors (printf "config.retrieval.keep is %s, which needs a token: put one into a Secret, and name that in retrieval.existingSecret" $config.keep) -}}
{{- end -}}
{{- if and (not .enabled) (ne .mode "member") -}}
{{- $errors = append $errors (printf "retrieval.mode is %s, but retrieval.enabled is false: nobody would be served" .mode) -}}
{{- end -}}
{{- if and .enabled (eq (toString .port) (include "tailsieve.adminPort" $)) -}}
{{- $errors = append $errors (printf "retrieval.port is %d, which is that of config.admin.listen: choose another one" (int .port)) -}}
{{- end -}}
{{- if and .tls.clientCaKey (not .tls.existingSecret) -}}
{{- $errors = append $errors "retrieval.tls.clientCaKey is given without retrieval.tls.existingSecret: name the Secret that has it" -}}
{{- end -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}

{{- define "tailsieve.validate.kafkaSecrets" -}}
{{- $errors := list -}}
{{- $tls := .Values.kafka.tls -}}
{{- $sasl := .Values.kafka.sasl -}}
{{- $properties := default (dict) .Values.config.kafka.properties -}}
{{- $chosen := include "tailsieve.kafkaProperties" . | fromYaml -}}
{{- range $name, $_ := $chosen -}}
{{- if hasKey $properties $name -}}
{{- $errors = append $errors (printf "config.kafka.properties has %s, and kafka.tls or kafka.sasl says it, too: remove one of the two" $name) -}}
{{- end -}}
{{- end -}}
{{- range tuple "sasl.password" "ssl.key.password" "ssl.key.pem" "ssl.keystore.password" "sasl.oauthbearer.client.secret" -}}
{{- if include "tailsieve.isLiteral" (get $properties .) -}}
{{- $errors = append $errors (printf "config.kafka.properties has %s itself, which would be in a ConfigMap for everybody to read: put it into a Secret (kafka.sasl.existingSecret; or extraEnv, and ${env:NAME} here)" .) -}}
{{- end -}}
{{- end -}}
{{- if and $sasl.mechanism (not $sasl.existingSecret) -}}
{{- $errors = append $errors (printf "kafka.sasl.mechanism is %s without kafka.sasl.existingSecret: name a Secret with the keys %s and %s" $sasl.mechanism $sasl.usernameKey $sasl.passwordKey) -}}
{{- else if and $sasl.existingSecret (not $sasl.mechanism) -}}
{{- $errors = append $errors "kafka.sasl.existingSecret is given without kafka.sasl.mechanism: say how to log in, for example SCRAM-SHA-512" -}}
{{- end -}}
{{- if and $tls.existingSecret (not $tls.enabled) -}}
{{- $errors = append $errors "kafka.tls.existingSecret is given, but kafka.tls.enabled is false: nothing would be encrypted" -}}
{{- end -}}
{{- if ne (empty $tls.certKey) (empty $tls.keyKey) -}}
{{- $errors = append $errors "kafka.tls has one of certKey and keyKey: a client certificate needs both" -}}
{{- end -}}
{{- if and $tls.certKey (not $tls.existingSecret) -}}
{{- $errors = append $errors "kafka.tls.certKey is given without kafka.tls.existingSecret: name the Secret that has it" -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}

{{- define "tailsieve.validate.exporterSecrets" -}}
{{- $errors := list -}}
{{- $exporters := include "tailsieve.exporters" . | fromYaml -}}
{{- $paths := dict -}}
{{- range $name, $secrets := .Values.exporterSecrets -}}
{{- $exporter := get $exporters $name -}}
{{- if not (hasKey $exporters $name) -}}
{{- $errors = append $errors (printf "exporterSecrets has %s, but there is no such exporter; there are: %s (that of config.export is called default)" $name (keys $exporters | sortAlpha | join ", " | default "none")) -}}
{{- else if kindIs "map" $exporter -}}
{{- range $option, $_ := include "tailsieve.exporterOptions" (dict "root" $ "name" $name "secrets" $secrets) | fromYaml -}}
{{- if and (hasKey $exporter $option) (ne $option "headers") (ne $option "tls") -}}
{{- $errors = append $errors (printf "the exporter %s has %s in config, and in exporterSecrets: remove one of the two" $name $option) -}}
{{- end -}}
{{- end -}}
{{- range $header, $_ := default (dict) $secrets.headers -}}
{{- if hasKey (default (dict) $exporter.headers) $header -}}
{{- $errors = append $errors (printf "the exporter %s has the header %s in config, and in exporterSecrets: remove one of the two" $name $header) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $secrets.bearerToken $secrets.basicAuth -}}
{{- $errors = append $errors (printf "exporterSecrets.%s has bearerToken and basicAuth: there can be one header authorization" $name) -}}
{{- end -}}
{{- with $secrets.tls -}}
{{- if ne (empty .certKey) (empty .keyKey) -}}
{{- $errors = append $errors (printf "exporterSecrets.%s.tls has one of certKey and keyKey: a client certificate needs both" $name) -}}
{{- end -}}
{{- end -}}
{{- $path := include "tailsieve.exporterPath" $name | upper -}}
{{- if hasKey $paths $path -}}
{{- $errors = append $errors (printf "exporterSecrets has %s and %s, which only differ in signs: their variables would have one name; rename an exporter" (get $paths $path) $name) -}}
{{- end -}}
{{- $_ := set $paths $path $name -}}
{{- end -}}
{{- range $name, $exporter := $exporters -}}
{{- if kindIs "map" $exporter -}}
{{- $auth := default (dict) $exporter.auth -}}
{{- $inline := list (default (dict) $auth.bearer).token (default (dict) $auth.basic).password -}}
{{- range $header, $value := default (dict) $exporter.headers -}}
{{- if eq (lower $header) "authorization" -}}{{- $inline = append $inline $value -}}{{- end -}}
{{- end -}}
{{- range $inline -}}
{{- if include "tailsieve.isLiteral" . -}}
{{- $errors = append $errors (printf "the exporter %s has a token or a password in config, which would be in a ConfigMap for everybody to read: put it into a Secret, and name that in exporterSecrets.%s" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}

{{- define "tailsieve.validate.policies" -}}
{{- $errors := list -}}
{{- if and .Values.policiesFile .Values.existingPolicies.configMap -}}
{{- $errors = append $errors "policiesFile and existingPolicies.configMap are both given: remove one of the two" -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}

{{- define "tailsieve.validate.autoscaling" -}}
{{- $errors := list -}}
{{- with .Values.autoscaling -}}
{{- if .enabled -}}
{{- $partitions := int $.Values.topic.partitions -}}
{{- $useful := include "tailsieve.usefulMembers" $ | int -}}
{{- $most := include "tailsieve.maxReplicas" $ | int -}}
{{- if not .lag.serverAddress -}}
{{- $errors = append $errors "autoscaling.lag.serverAddress is empty: say where Prometheus is, for example http://prometheus-operated.monitoring:9090" -}}
{{- end -}}
{{- if not $partitions -}}
{{- $errors = append $errors "autoscaling needs topic.partitions: more members than partitions would have nothing to do" -}}
{{- else if gt $most $useful -}}
{{- $errors = append $errors (printf "autoscaling.maxReplicas is %d, but %d partitions (topic.partitions) are enough for %d members" $most $partitions $useful) -}}
{{- else if gt (int .minReplicas) $most -}}
{{- $errors = append $errors (printf "autoscaling.minReplicas is %d, which is more than the most, %d" (int .minReplicas) $most) -}}
{{- end -}}
{{- range .extraTriggers -}}
{{- if has .type (list "kafka" "apache-kafka") -}}
{{- $errors = append $errors (printf "autoscaling.extraTriggers has the type %s: it looks at committed lag, which open traces hold back by design, so it would never scale in; autoscaling.lag is the trigger for lag" .type) -}}
{{- end -}}
{{- end -}}
{{- if and .cpu.enabled (not (default (dict) $.Values.resources.requests).cpu) -}}
{{- $errors = append $errors "autoscaling.cpu needs resources.requests.cpu, of which its utilization is a share; set that, or autoscaling.cpu.enabled: false" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}

{{- define "tailsieve.validate.monitoring" -}}
{{- $errors := list -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- $errors = append $errors "serviceMonitor and podMonitor are both enabled: every member would be scraped twice, and sums would be doubled" -}}
{{- end -}}
{{- $rules := include "tailsieve.ruleNames" . | fromYamlArray -}}
{{- range concat .Values.prometheusRule.disabled (keys .Values.prometheusRule.overrides | sortAlpha) -}}
{{- if not (has . $rules) -}}
{{- $errors = append $errors (printf "prometheusRule names %s, but there is no such rule; there are: %s" . (join ", " $rules)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}

{{- define "tailsieve.validate.network" -}}
{{- $errors := list -}}
{{- with .Values.networkPolicy -}}
{{- if and .enabled .egress.enabled (not .egress.ports) -}}
{{- range include "tailsieve.peers" $ | fromYamlArray -}}
{{- if and . (not (include "tailsieve.port" .)) -}}
{{- $errors = append $errors (printf "networkPolicy cannot tell the port of %s: name it in networkPolicy.egress.ports" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $errors -}}
{{- end }}
