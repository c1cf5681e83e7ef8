package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/naru-stream/naru/internal/kafka/config"
)

func (a *app) topicCommand() *cobra.Command {
	return group("topic", "Create, list, describe, alter and delete topics",
		a.topicCreate(), a.topicList(), a.topicDescribe(), a.topicAlter(), a.topicDelete())
}

// topicChange is the JSON form of what happened to one topic.
type topicChange struct {
	Name              string `json:"name"`
	TopicID           string `json:"topic_id,omitempty"`
	Partitions        int32  `json:"partitions,omitempty"`
	ReplicationFactor int16  `json:"replication_factor,omitempty"`
	Existed           bool   `json:"existed,omitempty"`
	DryRun            bool   `json:"dry_run,omitempty"`
	Error             string `json:"error,omitempty"`
}

type topicChanges struct {
	Topics []topicChange `json:"topics"`
}

type topicCreateOptions struct {
	partitions  int32
	replication int16
	configs     []string
	ifNotExists bool
	dryRun      bool
}

func (a *app) topicCreate() *cobra.Command {
	o := &topicCreateOptions{}
	cmd := &cobra.Command{
		Use:   "create TOPIC...",
		Short: "Create topics",
		Example: "  naru topic create flights\n" +
			"  naru topic create flights -p 12 -c retention.ms=86400000 -c cleanup.policy=delete\n" +
			"  naru topic create flights --dry-run",
		Args: arguments(1, -1, "the name of a topic"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runTopicCreate(cmd.Context(), o, args) },
	}
	cmd.Flags().Int32VarP(&o.partitions, "partitions", "p", -1, "how many partitions; -1 leaves it to the cluster")
	cmd.Flags().Int16VarP(&o.replication, "replication-factor", "r", -1, "how many replicas; -1 leaves it to the cluster")
	cmd.Flags().StringArrayVarP(&o.configs, "config", "c", nil, "a setting of the topic as key=value (repeat it for more)")
	cmd.Flags().BoolVar(&o.ifNotExists, "if-not-exists", false, "succeed if the topic is there already")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "let the cluster check it, create nothing")
	return a.clientFlags(cmd)
}

func (a *app) runTopicCreate(ctx context.Context, o *topicCreateOptions, names []string) error {
	if err := checkTopicNames(names); err != nil {
		return err
	}
	if o.partitions == 0 || o.partitions < -1 {
		return usagef("--partitions %d is not allowed: use 1 or more, or -1 for the cluster's default", o.partitions)
	}
	if o.replication == 0 || o.replication < -1 {
		return usagef("--replication-factor %d is not allowed: use 1 or more, or -1 for the cluster's default", o.replication)
	}
	configs, err := settings(config.TopicScope, o.configs)
	if err != nil {
		return err
	}
	adm, ctx, done, err := a.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	create := adm.CreateTopics
	if o.dryRun {
		create = adm.ValidateCreateTopics
	}
	answers, err := create(ctx, o.partitions, o.replication, configs, names...)
	if err != nil {
		return fmt.Errorf("creating topics: %w", err)
	}
	return a.reportCreated(o, names, answers)
}

func (a *app) reportCreated(o *topicCreateOptions, names []string, answers kadm.CreateTopicResponses) error {
	var out topicChanges
	var failed failures
	for _, n := range names {
		r := answers[n]
		c := topicChange{Name: n, Partitions: max(r.NumPartitions, 0), ReplicationFactor: max(r.ReplicationFactor, 0), DryRun: o.dryRun}
		if r.ID != (kadm.TopicID{}) {
			c.TopicID = topicID(r.ID)
		}
		switch {
		case errors.Is(r.Err, kerr.TopicAlreadyExists) && o.ifNotExists:
			c.Existed = true
		case errors.Is(r.Err, kerr.TopicAlreadyExists):
			c.Error = "it exists already (--if-not-exists accepts that)"
		case r.Err != nil:
			c.Error = explain(r.Err, r.ErrMessage).Error()
		}
		if c.Error != "" {
			failed.add(fmt.Sprintf("topic %q", n), errors.New(c.Error))
		}
		out.Topics = append(out.Topics, c)
	}
	err := a.show(out, func(w io.Writer) {
		for _, c := range out.Topics {
			switch {
			case c.Error != "":
			case c.Existed:
				fmt.Fprintf(w, "topic %s exists already\n", c.Name)
			case o.dryRun:
				fmt.Fprintf(w, "topic %s would be created with %s\n", c.Name, shape(c))
			default:
				fmt.Fprintf(w, "created topic %s with %s\n", c.Name, shape(c))
			}
		}
	})
	return errors.Join(failed.err(), err)
}

// topicID writes an id as Kafka's tools do.
func topicID(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func shape(c topicChange) string {
	if c.Partitions == 0 {
		return "the cluster's defaults"
	}
	return plural(int64(c.Partitions), "partition") + ", replication factor " + strconv.Itoa(int(c.ReplicationFactor))
}

func (a *app) topicList() *cobra.Command {
	var internal bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List topics",
		Example: "  naru topic list\n  naru topic list --internal --json",
		Args:    arguments(0, 0, "no argument"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runTopicList(cmd.Context(), internal) },
	}
	cmd.Flags().BoolVar(&internal, "internal", false, "show internal topics too")
	return a.clientFlags(cmd)
}

type topicSummary struct {
	Name              string `json:"name"`
	TopicID           string `json:"topic_id"`
	Internal          bool   `json:"internal"`
	Partitions        int    `json:"partitions"`
	ReplicationFactor int    `json:"replication_factor"`
}

func (a *app) runTopicList(ctx context.Context, internal bool) error {
	adm, ctx, done, err := a.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	list := adm.ListTopics
	if internal {
		list = adm.ListTopicsWithInternal
	}
	found, err := list(ctx)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	out := struct {
		Topics []topicSummary `json:"topics"`
	}{[]topicSummary{}}
	for _, t := range found.Sorted() {
		s := topicSummary{Name: t.Topic, TopicID: topicID(t.ID), Internal: t.IsInternal, Partitions: len(t.Partitions)}
		s.ReplicationFactor = t.Partitions.NumReplicas()
		out.Topics = append(out.Topics, s)
	}
	return a.show(out, func(w io.Writer) {
		var rows [][]string
		for _, t := range out.Topics {
			rows = append(rows, []string{t.Name, strconv.Itoa(t.Partitions), strconv.Itoa(t.ReplicationFactor)})
		}
		table(w, "TOPIC PARTITIONS REPLICAS", rows)
	})
}

func (a *app) topicDelete() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:     "delete TOPIC...",
		Short:   "Delete topics and all their records",
		Example: "  naru topic delete flights\n  naru topic delete flights words --dry-run",
		Args:    arguments(1, -1, "the name of a topic"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runTopicDelete(cmd.Context(), args, dryRun) },
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be deleted, delete nothing")
	return a.clientFlags(cmd)
}

// runTopicDelete deletes nothing unless every named topic exists.
func (a *app) runTopicDelete(ctx context.Context, names []string, dryRun bool) error {
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
	var out topicChanges
	var failed failures
	answers := kadm.DeleteTopicResponses{}
	if !dryRun {
		if answers, err = adm.DeleteTopics(ctx, names...); err != nil {
			return fmt.Errorf("deleting topics: %w", err)
		}
	}
	for _, n := range slices.Compact(slices.Sorted(slices.Values(names))) {
		c := topicChange{Name: n, TopicID: topicID(found[n].ID), Partitions: int32(len(found[n].Partitions)), DryRun: dryRun}
		if r := answers[n]; r.Err != nil {
			c.Error = explain(r.Err, r.ErrMessage).Error()
			failed.add(fmt.Sprintf("topic %q", n), errors.New(c.Error))
		}
		out.Topics = append(out.Topics, c)
	}
	err = a.show(out, func(w io.Writer) {
		for _, c := range out.Topics {
			if c.Error == "" && dryRun {
				fmt.Fprintf(w, "topic %s with %s would be deleted\n", c.Name, plural(int64(c.Partitions), "partition"))
			} else if c.Error == "" {
				fmt.Fprintf(w, "deleted topic %s\n", c.Name)
			}
		}
	})
	return errors.Join(failed.err(), err)
}
