{{/* The expression of an alert of alerts.yaml. The API server's series begin with their first count, which `increase` cannot see: a series
that was not there ten minutes ago counts too, if the API server was scraped then or is younger than that. */}}
{{- define "pullcred.alertExpression" -}}
{{- $parts := list }}
{{- range .apiServerCounters }}
{{- $parts = append $parts (printf "sum(increase(%s[10m])) > 0" .) }}
{{- $parts = append $parts (printf `sum(
  (%s unless %s offset 10m)
  and on (job, instance) (up offset 10m == 1 or process_start_time_seconds > time() - 600)
) > 0` . .) }}
{{- end }}
{{- with .expr }}{{ $parts = append $parts . }}{{ end }}
{{- join "\nor\n" $parts }}
{{- end }}
