package config

import (
	"fmt"
	"strings"
)

// Markdown returns the page docs/configuration.md: every setting of the table.
func Markdown() string {
	var b strings.Builder
	b.WriteString(pageHead)
	counts := map[Status]int{}
	for scope := range Scope(scopes) {
		for _, k := range Keys(scope) {
			counts[k.Status]++
		}
	}
	fmt.Fprintf(&b, "Of %d settings %d are honoured, %d are accepted without effect, %d are not served yet.\n",
		counts[Honoured]+counts[Accepted]+counts[NotServed], counts[Honoured], counts[Accepted], counts[NotServed])
	section(&b, "Naru's own settings", "They belong to a broker and are set in `server.properties` or with `--override`. Tools see those that are set.",
		BrokerScope, func(k *Key) bool { return k.Own() })
	section(&b, "Topic settings", "Set with `naru topic create --config`, `naru config set` or `kafka-configs`. A topic without a value of its own takes the one of the broker setting named in brackets.",
		TopicScope, func(k *Key) bool { return !k.Hidden })
	section(&b, "Group settings", "Set with `naru config set --group` or `kafka-configs --entity-type groups`.", GroupScope, func(*Key) bool { return true })
	section(&b, "Client metrics settings", "", ClientMetricsScope, func(*Key) bool { return true })
	section(&b, "Broker settings", "Set in `server.properties` or with `--override`; those marked *cluster-wide* or *per-broker* also while the broker runs.",
		BrokerScope, func(k *Key) bool { return !k.Own() && !k.Hidden })
	section(&b, "Settings that tools do not show", "Accepted in `server.properties`; Kafka keeps them for its own tests.",
		BrokerScope, func(k *Key) bool { return k.Hidden })
	return b.String()
}

const pageHead = `# Configuration

<!-- Generated from internal/kafka/config: change it there, then run
     go test ./internal/kafka/config -run Page -update -->

Settings have Apache Kafka 4.3.1's names, types, defaults and synonyms, and those of dead-letter topics 4.4's. ` + "`naru start server.properties`" + ` reads
a Java properties file; ` + "`--override key=value`" + ` goes before the file. An unknown name is a warning with the
nearest right one, a value that is not allowed is an error. A value counts in this order: set for the one topic or
group, set for this broker, set for the whole cluster, ` + "`server.properties`" + `, default.

Settings that contradict each other are refused as well. A setting of one listener is written
` + "`listener.name.<listener in lower case>.<setting>`" + `: ` + "`max.connections`" + ` and ` + "`max.connection.creation.rate`" + ` may be.

`

func section(b *strings.Builder, title, intro string, scope Scope, in func(*Key) bool) {
	fmt.Fprintf(b, "\n## %s\n\n", title)
	if intro != "" {
		b.WriteString(intro + "\n\n")
	}
	b.WriteString("| Setting | Type, default | Allowed | Meaning |\n|---|---|---|---|\n")
	for _, k := range Keys(scope) {
		if in(k) {
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", nameCell(k), defaultCell(k), cell(k.Valid.allowed), meaningCell(k))
		}
	}
}

func nameCell(k *Key) string {
	s := "`" + k.Name + "`"
	if k.Broker != "" {
		s += " (`" + k.Broker + "`)"
	}
	if k.Mode != ReadOnly {
		s += " *" + k.Mode.String() + "*"
	}
	return s
}

func defaultCell(k *Key) string {
	s := strings.ToLower(k.Type.String())
	switch {
	case k.Unset:
		return s + ", none"
	case k.Default == "":
		return s + ", empty"
	}
	return s + ", `" + k.Default + "`"
}

func meaningCell(k *Key) string {
	s := cell(k.Doc)
	if k.Status != Honoured {
		s += " **" + strings.ToUpper(k.Status.String()[:1]) + k.Status.String()[1:] + "**"
		if k.Why != "" {
			s += ": " + cell(k.Why)
		}
		s += "."
	}
	return s
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
