package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/naru-stream/naru/internal/kafka/config"
)

func (a *app) configCommand() *cobra.Command {
	return group("config", "Get and set the settings of topics, brokers and groups", a.configGet(), a.configSet())
}

// resource says whose settings are meant.
type resource struct {
	topic, group, broker string
	cluster              bool
}

func (r *resource) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&r.topic, "topic", "t", "", "the settings of this topic")
	cmd.Flags().StringVarP(&r.group, "group", "g", "", "the settings of this group")
	cmd.Flags().StringVar(&r.broker, "broker", "", "the settings of the broker with this id")
	cmd.Flags().BoolVar(&r.cluster, "cluster", false, "the settings that all brokers share")
}

func (r *resource) resolve() (kind kmsg.ConfigResourceType, name string, scope config.Scope, err error) {
	given := 0
	for _, set := range []bool{r.topic != "", r.group != "", r.broker != "", r.cluster} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return 0, "", 0, usagef("say whose settings: exactly one of --topic, --group, --broker and --cluster")
	case r.topic != "":
		return kmsg.ConfigResourceTypeTopic, r.topic, config.TopicScope, checkTopicName(r.topic)
	case r.group != "":
		return kmsg.ConfigResourceTypeGroupConfig, r.group, config.GroupScope, nil
	case r.cluster:
		return kmsg.ConfigResourceTypeBroker, "", config.BrokerScope, nil
	}
	if _, err := strconv.ParseInt(r.broker, 10, 32); err != nil {
		return 0, "", 0, usagef("--broker %q is not a broker's id: use a number such as 1", r.broker)
	}
	return kmsg.ConfigResourceTypeBroker, r.broker, config.BrokerScope, nil
}

// ask sends a request about a resource to the broker that can answer it.
func ask(ctx context.Context, cl *kgo.Client, kind kmsg.ConfigResourceType, name string, req kmsg.Request) (kmsg.Response, error) {
	if kind == kmsg.ConfigResourceTypeBroker && name != "" {
		id, _ := strconv.ParseInt(name, 10, 32) // checked by resolve
		return cl.Broker(int(id)).Request(ctx, req)
	}
	return cl.Request(ctx, req)
}

// unknownBroker says in words that the named broker is not there.
func unknownBroker(err error, name string) error {
	if err.Error() == "unknown broker" { // the client has no name for this error
		return fmt.Errorf("the cluster has no broker %s: 'naru config get --cluster' shows what all brokers share", name)
	}
	return err
}

func (a *app) configGet() *cobra.Command {
	r := &resource{}
	var all bool
	cmd := &cobra.Command{
		Use:   "get (--topic T | --group G | --broker ID | --cluster) [KEY...]",
		Short: "Show settings: the named ones, or those that are not at their default",
		Example: "  naru config get --topic flights\n" +
			"  naru config get --topic flights retention.ms --json\n" +
			"  naru config get --broker 1 --all",
		RunE: func(cmd *cobra.Command, args []string) error { return a.runConfigGet(cmd.Context(), r, all, args) },
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "show those at their default too")
	return a.clientFlags(cmd)
}

type setting struct {
	Name      string    `json:"name"`
	Value     *string   `json:"value"`
	Source    string    `json:"source"`
	ReadOnly  bool      `json:"read_only"`
	Sensitive bool      `json:"sensitive"`
	Synonyms  []synonym `json:"synonyms"`
}

type synonym struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

func (a *app) runConfigGet(ctx context.Context, r *resource, all bool, keys []string) error {
	kind, name, scope, err := r.resolve()
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := checkKey(scope, k); err != nil {
			return err
		}
	}
	cl, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	found, err := describeConfigs(ctx, cl, kind, name, keys)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if !slices.ContainsFunc(found, func(s setting) bool { return s.Name == k }) {
			return fmt.Errorf("setting %q is not known to the cluster", k)
		}
	}
	if len(keys) == 0 && !all {
		found = slices.DeleteFunc(found, func(s setting) bool { return s.Source == "DEFAULT_CONFIG" })
	}
	out := struct {
		Configs []setting `json:"configs"`
	}{found}
	return a.show(out, func(w io.Writer) {
		var rows [][]string
		for _, s := range found {
			rows = append(rows, []string{s.Name, s.text(), s.Source})
		}
		table(w, "SETTING VALUE SOURCE", rows)
	})
}

func (s *setting) text() string {
	switch {
	case s.Sensitive:
		return "(hidden)"
	case s.Value == nil:
		return "(not set)"
	}
	return *s.Value
}

func describeConfigs(ctx context.Context, cl *kgo.Client, kind kmsg.ConfigResourceType, name string, keys []string) ([]setting, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	res := kmsg.NewDescribeConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, name
	if len(keys) > 0 {
		res.ConfigNames = keys
	}
	req.Resources = append(req.Resources, res)
	answer, err := ask(ctx, cl, kind, name, req)
	if err != nil {
		return nil, fmt.Errorf("asking for settings: %w", unknownBroker(err, name))
	}
	out := []setting{}
	for _, r := range answer.(*kmsg.DescribeConfigsResponse).Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, fmt.Errorf("settings of %s: %w", whose(kind, name), explain(err, deref(r.ErrorMessage)))
		}
		for _, c := range r.Configs {
			s := setting{c.Name, c.Value, config.Source(c.Source).String(), c.ReadOnly, c.IsSensitive, []synonym{}}
			for _, y := range c.ConfigSynonyms {
				s.Synonyms = append(s.Synonyms, synonym{y.Name, y.Value, config.Source(y.Source).String()})
			}
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b setting) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// whose names a resource in messages.
func whose(kind kmsg.ConfigResourceType, name string) string {
	switch {
	case kind == kmsg.ConfigResourceTypeTopic:
		return fmt.Sprintf("topic %q", name)
	case kind == kmsg.ConfigResourceTypeGroupConfig:
		return fmt.Sprintf("group %q", name)
	case name == "":
		return "the cluster"
	}
	return "broker " + name
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (a *app) configSet() *cobra.Command {
	r := &resource{}
	var remove []string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "set (--topic T | --group G | --broker ID | --cluster) KEY=VALUE...",
		Short: "Change settings, or return them to their default with --delete",
		Example: "  naru config set --topic flights retention.ms=3600000\n" +
			"  naru config set --cluster log.retention.ms=86400000 --dry-run\n" +
			"  naru config set --topic flights --delete retention.ms",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runConfigSet(cmd.Context(), r, args, remove, dryRun)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringArrayVar(&remove, "delete", nil, "a setting that returns to its default (repeat it for more)")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "let the cluster check it, change nothing")
	return a.clientFlags(cmd)
}

// settingChange is one change in JSON; without a value the default returns.
type settingChange struct {
	Name  string  `json:"name"`
	Value *string `json:"value"`
}

func (c settingChange) String() string {
	if c.Value == nil {
		return c.Name + " at its default"
	}
	return c.Name + "=" + *c.Value
}

func settingChanges(changes []kadm.AlterConfig) []settingChange {
	out := []settingChange{}
	for _, c := range changes {
		out = append(out, settingChange{c.Name, c.Value})
	}
	return out
}

func configChanges(scope config.Scope, set, remove []string) ([]kadm.AlterConfig, error) {
	values, err := settings(scope, set)
	if err != nil {
		return nil, err
	}
	var out []kadm.AlterConfig
	for _, k := range sortedKeys(values) {
		out = append(out, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: values[k]})
	}
	for _, k := range remove {
		if err := checkKey(scope, k); err != nil {
			return nil, err
		}
		if _, twice := values[k]; twice {
			return nil, usagef("setting %q is both set and deleted", k)
		}
		out = append(out, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: k})
	}
	return out, nil
}

func (a *app) runConfigSet(ctx context.Context, r *resource, set, remove []string, dryRun bool) error {
	kind, name, scope, err := r.resolve()
	if err != nil {
		return err
	}
	changes, err := configChanges(scope, set, remove)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return usagef("nothing to set: give key=value or --delete key")
	}
	cl, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if err := alterConfigs(ctx, cl, kind, name, changes, dryRun); err != nil {
		return err
	}
	out := struct {
		Changes []settingChange `json:"changes"`
		DryRun  bool            `json:"dry_run,omitempty"`
	}{settingChanges(changes), dryRun}
	return a.show(out, func(w io.Writer) {
		for _, c := range out.Changes {
			if dryRun {
				fmt.Fprintf(w, "would set %s\n", c)
			} else {
				fmt.Fprintf(w, "set %s\n", c)
			}
		}
	})
}

func alterConfigs(ctx context.Context, cl *kgo.Client, kind kmsg.ConfigResourceType, name string, changes []kadm.AlterConfig, validateOnly bool) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = validateOnly
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, name
	for _, c := range changes {
		one := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		one.Name, one.Value, one.Op = c.Name, c.Value, kmsg.IncrementalAlterConfigOp(c.Op)
		res.Configs = append(res.Configs, one)
	}
	req.Resources = append(req.Resources, res)
	answer, err := ask(ctx, cl, kind, name, req)
	if err != nil {
		return fmt.Errorf("changing settings: %w", unknownBroker(err, name))
	}
	for _, r := range answer.(*kmsg.IncrementalAlterConfigsResponse).Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return fmt.Errorf("settings of %s: %w", whose(kind, name), explain(err, deref(r.ErrorMessage)))
		}
	}
	return nil
}
