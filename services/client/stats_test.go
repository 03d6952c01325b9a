package client_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tarsd/tarsd/services/client"
)

func TestDropped(t *testing.T) {
	t.Parallel()
	s := client.Stats{
		Publishes:     client.PublishStats{Published: 100, Queued: 50, Expired: 3, Dropped: 4},
		Subscriptions: []client.SubscriptionStats{{Received: 9, Dropped: 5, Duplicates: 7}, {Dropped: 1}},
	}
	assert.Equal(t, 13, s.Dropped())
	assert.Zero(t, client.Stats{}.Dropped())
}
