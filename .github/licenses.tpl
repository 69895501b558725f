# Licenses of what the provider is built from

`make licenses` writes this list: every module in the provider's binary, and the license that its own files name. Beside them there is Go's own library (BSD-3-Clause).

| module | license |
|---|---|
{{- range . }}
| `{{ .Name }}` {{ .Version }} | {{ .LicenseName }} |
{{- end }}
