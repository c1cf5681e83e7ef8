package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/naru-stream/naru/internal/kafka/config"
)

func (a *app) topicDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "describe TOPIC...",
		Short:   "Show the partitions, offsets and settings of topics",
		Example: "  naru topic describe flights\n  naru topic describe flights --json",
		Args:    arguments(1, -1, "the name of a topic"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runTopicDescribe(cmd.Context(), args) },
	}
	return a.clientFlags(cmd)
}

type topicDescription struct {
	topicSummary
	Configs       map[string]string `json:"configs"` // those that differ from the default
	PartitionList []partition       `json:"partition_list"`
}

type partition struct {
	Partition   int32   `json:"partition"`
	Leader      int32   `json:"leader"`
	LeaderEpoch int32   `json:"leader_epoch"`
	Replicas    []int32 `json:"replicas"`
	ISR         []int32 `json:"isr"`
	Offline     []int32 `json:"offline_replicas"`
	StartOffset int64   `json:"start_offset"`
	EndOffset   int64   `json:"end_offset"`
	Error       string  `json:"error,omitempty"`
}

func (a *app) runTopicDescribe(ctx context.Context, names []string) error {
	if err := checkTopicNames(names); err != nil {
		return err
	}
	adm, ctx, done, err := a.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	found, err := topics(ctx, adm, names)
	if err != nil {
		return err
	}
	starts, errStart := adm.ListStartOffsets(ctx, names...)
	ends, errEnd := adm.ListEndOffsets(ctx, names...)
	configs, errConfig := adm.DescribeTopicConfigs(ctx, names...)
	if err := errors.Join(errStart, errEnd, errConfig); err != nil {
		return fmt.Errorf("describing topics: %w", err)
	}
	out := struct {
		Topics []topicDescription `json:"topics"`
	}{}
	for _, n := range names {
		d := describeTopic(found[n], starts, ends)
		r, _ := configs.On(n, nil)
		for _, c := range r.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				d.Configs[c.Key] = c.MaybeValue()
			}
		}
		out.Topics = append(out.Topics, d)
	}
	return a.show(out, func(w io.Writer) {
		for i, d := range out.Topics {
			if i > 0 {
				fmt.Fprintln(w)
			}
			d.print(w)
		}
	})
}

func describeTopic(t kadm.TopicDetail, starts, ends kadm.ListedOffsets) topicDescription {
	d := topicDescription{Configs: map[string]string{}, PartitionList: []partition{}}
	d.topicSummary = topicSummary{t.Topic, topicID(t.ID), t.IsInternal, len(t.Partitions), t.Partitions.NumReplicas()}
	for _, p := range t.Partitions.Sorted() {
		start, _ := starts.Lookup(t.Topic, p.Partition)
		end, _ := ends.Lookup(t.Topic, p.Partition)
		row := partition{
			Partition: p.Partition, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, Replicas: nonNil(p.Replicas), ISR: nonNil(p.ISR),
			Offline: nonNil(p.OfflineReplicas), StartOffset: start.Offset, EndOffset: end.Offset,
		}
		if err := errors.Join(p.Err, start.Err, end.Err); err != nil {
			row.Error = err.Error()
		}
		d.PartitionList = append(d.PartitionList, row)
	}
	return d
}

func nonNil(n []int32) []int32 {
	if n == nil {
		return []int32{}
	}
	return n
}

func (d *topicDescription) print(w io.Writer) {
	fmt.Fprintf(w, "topic %s, id %s, %s, replication factor %d\n", d.Name, d.TopicID, plural(int64(d.Partitions), "partition"), d.ReplicationFactor)
	for _, key := range sortedKeys(d.Configs) {
		fmt.Fprintf(w, "  %s=%s\n", key, d.Configs[key])
	}
	var rows [][]string
	for _, p := range d.PartitionList {
		row := []string{strconv.Itoa(int(p.Partition)), strconv.Itoa(int(p.Leader)), strconv.Itoa(int(p.LeaderEpoch)),
			ints(p.Replicas), ints(p.ISR), strconv.FormatInt(p.StartOffset, 10), strconv.FormatInt(p.EndOffset, 10)}
		if p.Error != "" {
			row = append(row, p.Error)
		}
		rows = append(rows, row)
	}
	table(w, "PARTITION LEADER EPOCH REPLICAS ISR START END", rows)
}

type topicAlterOptions struct {
	partitions int
	set        []string
	remove     []string
	dryRun     bool
}

func (a *app) topicAlter() *cobra.Command {
	o := &topicAlterOptions{}
	cmd := &cobra.Command{
		Use:   "alter TOPIC",
		Short: "Add partitions to a topic or change its settings",
		Example: "  naru topic alter flights --partitions 12\n" +
			"  naru topic alter flights -c retention.ms=3600000 --delete-config segment.ms\n" +
			"  naru topic alter flights -c cleanup.policy=compact --dry-run",
		Args: arguments(1, 1, "the name of one topic"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runTopicAlter(cmd.Context(), o, args[0]) },
	}
	cmd.Flags().IntVarP(&o.partitions, "partitions", "p", 0, "how many partitions there shall be")
	cmd.Flags().StringArrayVarP(&o.set, "config", "c", nil, "a setting as key=value (repeat it for more)")
	cmd.Flags().StringArrayVar(&o.remove, "delete-config", nil, "a setting that returns to its default (repeat it for more)")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "let the cluster check it, change nothing")
	return a.clientFlags(cmd)
}

func (a *app) runTopicAlter(ctx context.Context, o *topicAlterOptions, name string) error {
	if err := checkTopicName(name); err != nil {
		return err
	}
	changes, err := configChanges(config.TopicScope, o.set, o.remove)
	if err != nil {
		return err
	}
	if o.partitions < 0 {
		return usagef("--partitions %d is not allowed: use a number above the present one", o.partitions)
	}
	if len(changes) == 0 && o.partitions == 0 {
		return usagef("nothing to alter: give --partitions, --config or --delete-config")
	}
	adm, ctx, done, err := a.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	found, err := topics(ctx, adm, []string{name})
	if err != nil {
		return err
	}
	before := len(found[name].Partitions)
	if o.partitions != 0 && o.partitions <= before {
		return fmt.Errorf("topic %q has %s: only a higher number is allowed, partitions cannot be taken away", name, plural(int64(before), "partition"))
	}
	// Both changes are checked before the first is made.
	for _, validateOnly := range []bool{true, false} {
		if validateOnly || !o.dryRun {
			if err := alterTopic(ctx, adm, name, o.partitions, changes, validateOnly); err != nil {
				return fmt.Errorf("topic %q: %w", name, err)
			}
		}
	}
	return a.reportAltered(o, name, before, changes)
}

func alterTopic(ctx context.Context, adm *kadm.Client, name string, partitions int, changes []kadm.AlterConfig, validateOnly bool) error {
	alter, update := adm.AlterTopicConfigs, adm.UpdatePartitions
	if validateOnly {
		alter, update = adm.ValidateAlterTopicConfigs, adm.ValidateUpdatePartitions
	}
	if partitions > 0 {
		answers, err := update(ctx, partitions, name)
		if err != nil {
			return err
		}
		if r := answers[name]; r.Err != nil {
			return explain(r.Err, r.ErrMessage)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	answers, err := alter(ctx, changes, name)
	if err != nil {
		return err
	}
	for _, r := range answers {
		if r.Err != nil {
			return explain(r.Err, r.ErrMessage)
		}
	}
	return nil
}

func (a *app) reportAltered(o *topicAlterOptions, name string, before int, changes []kadm.AlterConfig) error {
	out := topicAltered{Name: name, Partitions: max(before, o.partitions), DryRun: o.dryRun, Changes: settingChanges(changes)}
	return a.show(out, func(w io.Writer) {
		verb := "altered"
		if o.dryRun {
			verb = "would alter"
		}
		var what []string
		if o.partitions > 0 {
			what = append(what, fmt.Sprintf("partitions %d → %d", before, o.partitions))
		}
		for _, c := range out.Changes {
			what = append(what, c.String())
		}
		fmt.Fprintf(w, "%s topic %s: %s\n", verb, name, strings.Join(what, ", "))
	})
}

type topicAltered struct {
	Name       string          `json:"name"`
	Partitions int             `json:"partitions"`
	Changes    []settingChange `json:"changes"`
	DryRun     bool            `json:"dry_run,omitempty"`
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
