package config

import (
	"net/url"
)

// Wyoming is what is offered to peers of that protocol.
type Wyoming struct {
	Listen      string `yaml:"listen" shown:"off" doc:"Where peers of the Wyoming protocol, such as Home Assistant, can use the robot's speech to text, text to speech and wake word: tcp://127.0.0.1:10400 or unix:///PATH. The protocol has no passwords and no encryption: who can connect can use it. Empty for nowhere."`
	Connections int    `yaml:"connections" doc:"Connections at once; each request has one."`
}

func (c Wyoming) check(key string, ps *Problems) {
	if c.Listen != "" {
		if u, err := url.Parse(c.Listen); err == nil && u.Scheme != "tcp" && u.Scheme != "unix" {
			ps.add(key+".listen", "", "%q is not like tcp://127.0.0.1:10400 or unix:///PATH", c.Listen)
		} else if err := checkListenURL(c.Listen); err != nil {
			ps.add(key+".listen", "", "%s", err)
		} else if u.Scheme == "unix" && u.Host != "" {
			ps.add(key+".listen", "", "%q: the path is not absolute; write unix:///PATH", c.Listen)
		}
	}
	if c.Connections < 1 || c.Connections > 1000 {
		ps.add(key+".connections", "", "%d is not from 1 to 1000", c.Connections)
	}
}
