package mqttcli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/eclipse/paho.golang/paho"
)

// setProperty takes the words of -D: packet, identifier and value, or packet, "user-property", name and value.
func (o *options) setProperty(v []string) error {
	packet, name, val := strings.ToLower(v[0]), v[1], v[2]
	o.props.any = true
	if name == "user-property" {
		if len(v) < 4 {
			return fmt.Errorf("user-property needs a name and a value")
		}
		return o.props.addUser(packet, v[2], v[3])
	}
	var err error
	switch packet {
	case "connect":
		err = o.setConnectProperty(name, val)
	case "publish":
		err = setPublishProperty(&o.props.publish, name, val)
	case "will":
		err = setWillProperty(&o.props.will, name, val)
	case "disconnect":
		if name != "session-expiry-interval" {
			return errProperty(packet, name)
		}
		err = setUint(&o.props.disconnect.SessionExpiryInterval, val, 32)
	case "subscribe":
		if name != "subscription-identifier" {
			return errProperty(packet, name)
		}
		err = setInt(&o.props.subscribe.SubscriptionIdentifier, val)
	default:
		return errProperty(packet, name)
	}
	return err
}

func errProperty(packet, name string) error {
	return fmt.Errorf("%s property not allowed for %s", name, packet)
}

func (p *properties) addUser(packet, key, val string) error {
	list := map[string]*paho.UserProperties{"connect": &p.connect.User, "publish": &p.publish.User, "will": &p.will.User,
		"disconnect": &p.disconnect.User, "subscribe": &p.subscribe.User, "unsubscribe": &p.unsubscribe.User}[packet]
	if list == nil {
		return errProperty(packet, "user-property")
	}
	list.Add(key, val)
	return nil
}

func (o *options) setConnectProperty(name, val string) error {
	c := &o.props.connect
	switch name {
	case "receive-maximum":
		return setUint(&c.ReceiveMaximum, val, 16)
	case "topic-alias-maximum":
		return setUint(&c.TopicAliasMaximum, val, 16)
	case "maximum-packet-size":
		return setUint(&c.MaximumPacketSize, val, 32)
	case "session-expiry-interval":
		return setExpiry(o, []string{val})
	case "request-response-information":
		c.RequestResponseInfo = val == "1"
	case "request-problem-information":
		return nil // always asked for: the reason is what the user needs
	case "authentication-method", "authentication-data":
		return fmt.Errorf("tarsd does not offer enhanced authentication")
	default:
		return errProperty("connect", name)
	}
	return nil
}

func setPublishProperty(p *paho.PublishProperties, name, val string) error {
	switch name {
	case "content-type":
		p.ContentType = val
	case "response-topic":
		if !validTopic(val) {
			return fmt.Errorf("response-topic %q is not a topic", val)
		}
		p.ResponseTopic = val
	case "correlation-data":
		p.CorrelationData = []byte(val)
	case "message-expiry-interval":
		return setUint(&p.MessageExpiry, val, 32)
	case "payload-format-indicator":
		return setUint(&p.PayloadFormat, val, 8)
	case "topic-alias":
		return setUint(&p.TopicAlias, val, 16)
	default:
		return errProperty("publish", name)
	}
	return nil
}

func setWillProperty(p *paho.WillProperties, name, val string) error {
	switch name {
	case "content-type":
		p.ContentType = val
	case "response-topic":
		p.ResponseTopic = val
	case "correlation-data":
		p.CorrelationData = []byte(val)
	case "message-expiry-interval":
		return setUint(&p.MessageExpiry, val, 32)
	case "payload-format-indicator":
		return setUint(&p.PayloadFormat, val, 8)
	case "will-delay-interval":
		return setUint(&p.WillDelayInterval, val, 32)
	default:
		return errProperty("will", name)
	}
	return nil
}

func setUint[T byte | uint16 | uint32](to **T, val string, bits int) error {
	n, err := strconv.ParseUint(val, 10, bits)
	if err != nil {
		return fmt.Errorf("%q is not a number of %d bits", val, bits)
	}
	*to = new(T(n))
	return nil
}

func setInt(to **int, val string) error {
	n, err := strconv.Atoi(val)
	if err != nil || n < 1 || n > 268435455 {
		return fmt.Errorf("%q is not a subscription identifier", val)
	}
	*to = &n
	return nil
}
