package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func eventually(what string, ready func() (bool, error)) error {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(30 * time.Millisecond) {
		ok, err := ready()
		if ok || err != nil {
			return err
		}
		if time.Now().After(end) {
			return errors.New(what)
		}
	}
}

func (s suite) create() error {
	topic, err := s.newTopic("create", partitions, map[string]string{"retention.ms": "3600000"})
	if err != nil {
		return err
	}
	err = s.admin(func(ctx context.Context, a *kafka.AdminClient) error {
		return eventually("the new topic has not 3 partitions", func() (bool, error) {
			d, err := a.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames([]string{topic}))
			return err == nil && len(d.TopicDescriptions[0].Partitions) == partitions, err
		})
	})
	if err != nil {
		return err
	}
	for name, code := range map[string]kafka.ErrorCode{"create": kafka.ErrTopicAlreadyExists, "bad name!": kafka.ErrTopicException} {
		_, err := s.newTopic(name, 1, nil)
		var refused kafka.Error
		if !errors.As(err, &refused) || refused.Code() != code {
			return fmt.Errorf("creating %q: %v, want %v", name, err, code)
		}
	}
	return nil
}

func (s suite) adminTopics() error {
	topic, err := s.newTopic("admin", 2, nil)
	if err != nil {
		return err
	}
	return s.admin(func(ctx context.Context, a *kafka.AdminClient) error {
		grown, err := a.CreatePartitions(ctx, []kafka.PartitionsSpecification{{Topic: topic, IncreaseTo: 5}})
		if err == nil && grown[0].Error.Code() != kafka.ErrNoError {
			err = grown[0].Error
		}
		if err != nil {
			return fmt.Errorf("CreatePartitions: %w", err)
		}
		err = eventually("CreatePartitions did not give 5 partitions", func() (bool, error) {
			m, err := a.GetMetadata(&topic, false, 10000)
			return err == nil && len(m.Topics[topic].Partitions) == 5, err
		})
		if err != nil {
			return err
		}
		if err := s.changeRetention(ctx, a, topic); err != nil {
			return err
		}
		if err := s.produce(topic, 0, 100, 5, nil); err != nil {
			return err
		}
		cut, err := a.DeleteRecords(ctx, []kafka.TopicPartition{{Topic: &topic, Partition: 3, Offset: 7}})
		if err != nil || cut.DeleteRecordsResults[0].TopicPartition.Error != nil || cut.DeleteRecordsResults[0].DeletedRecords.LowWatermark != 7 {
			return fmt.Errorf("DeleteRecords: %+v %w", cut.DeleteRecordsResults, err)
		}
		gone, err := a.DeleteTopics(ctx, []string{topic})
		if err == nil && gone[0].Error.Code() != kafka.ErrNoError {
			err = gone[0].Error
		}
		if err != nil {
			return fmt.Errorf("DeleteTopics: %w", err)
		}
		return eventually("the deleted topic is still listed", func() (bool, error) {
			m, err := a.GetMetadata(nil, true, 10000)
			if err != nil {
				return false, err
			}
			_, still := m.Topics[topic]
			return !still, nil
		})
	})
}

func (s suite) changeRetention(ctx context.Context, a *kafka.AdminClient, topic string) error {
	resource := kafka.ConfigResource{Type: kafka.ResourceTopic, Name: topic}
	retention := func() (string, error) {
		rs, err := a.DescribeConfigs(ctx, []kafka.ConfigResource{resource})
		if err != nil {
			return "", err
		}
		return rs[0].Config["retention.ms"].Value, nil
	}
	if v, err := retention(); err != nil || v != "604800000" {
		return fmt.Errorf("default retention.ms %q: %w", v, err)
	}
	change := resource
	change.Config = []kafka.ConfigEntry{{Name: "retention.ms", Value: "1234567", IncrementalOperation: kafka.AlterConfigOpTypeSet}}
	rs, err := a.IncrementalAlterConfigs(ctx, []kafka.ConfigResource{change})
	if err == nil && rs[0].Error.Code() != kafka.ErrNoError {
		err = rs[0].Error
	}
	if err != nil {
		return fmt.Errorf("IncrementalAlterConfigs: %w", err)
	}
	return eventually("retention.ms was not changed", func() (bool, error) {
		v, err := retention()
		return v == "1234567", err
	})
}

func (s suite) adminGroups() error {
	topic, err := s.newTopic("admin-groups", 1, nil)
	if err != nil {
		return err
	}
	if err := s.produce(topic, 0, 10, 1, nil); err != nil {
		return err
	}
	c, err := s.subscribed(topic, nil, nil)
	if err != nil {
		return err
	}
	_, err = poll(c, 10)
	if err == nil {
		_, err = c.Commit()
	}
	if err == nil {
		err = s.groupIs(topic, kafka.ConsumerGroupStateStable, 1)
	}
	c.Close()
	if err != nil {
		return err
	}
	if err := s.groupIs(topic, kafka.ConsumerGroupStateEmpty, 0); err != nil {
		return err
	}
	return s.admin(func(ctx context.Context, a *kafka.AdminClient) error {
		listed := func() (bool, error) {
			l, err := a.ListConsumerGroups(ctx)
			for _, g := range l.Valid {
				if g.GroupID == topic {
					return true, err
				}
			}
			return false, err
		}
		if ok, err := listed(); !ok {
			return fmt.Errorf("the group is not listed: %w", err)
		}
		rs, err := a.DeleteConsumerGroups(ctx, []string{topic})
		if err == nil && rs.ConsumerGroupResults[0].Error.Code() != kafka.ErrNoError {
			err = rs.ConsumerGroupResults[0].Error
		}
		if err != nil {
			return fmt.Errorf("DeleteGroups: %w", err)
		}
		if ok, err := listed(); ok || err != nil {
			return fmt.Errorf("the deleted group is still listed: %v %w", ok, err)
		}
		return nil
	})
}

func (s suite) groupIs(group string, state kafka.ConsumerGroupState, members int) error {
	return s.admin(func(ctx context.Context, a *kafka.AdminClient) error {
		d, err := a.DescribeConsumerGroups(ctx, []string{group})
		if err != nil {
			return err
		}
		if g := d.ConsumerGroupDescriptions[0]; g.State != state || len(g.Members) != members {
			return fmt.Errorf("group %s with %d members, want %s with %d", g.State, len(g.Members), state, members)
		}
		return nil
	})
}
