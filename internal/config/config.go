// Package config owns the one Config struct: its defaults, and how a file, the environment and
// flags change them. It checks values against each other and touches nothing outside: no file
// but the configuration file is opened, no name is looked up, no port is tried.
package config

import (
	"os"
	"path/filepath"
	"time"
)

// Config is everything an owner can set. The key of a field is the path of its yaml names
// joined by dots; docs/configuration.md is generated from the doc tags.
type Config struct {
	DataDir       string     `yaml:"data_dir" shown:"see above" doc:"Directory of everything tarsd keeps: the data file, its sockets. One tarsd at a time owns it."`
	Durability    Durability `yaml:"durability" doc:"strict: acknowledged means on disk. relaxed: commits once a second, so a power cut loses up to a second of acknowledged messages. none: no message outlives the process (users are kept all the same)."`
	CommitGather  Duration   `yaml:"commit_gather" doc:"How long a commit waits for company, for slow flash; 0 commits what gathered during the last commit."`
	Listen        []string   `yaml:"listen" shown:"tcp://:1883, unix socket tarsd.sock in the data directory; tls://:8883 too when tls.cert is set" doc:"Listeners for MQTT, as URLs: tcp://HOST:PORT, tls://HOST:PORT, ws://HOST:PORT/PATH, wss://HOST:PORT/PATH, unix:///PATH. An empty host means all addresses, port 0 any free port. A list replaces the default."`
	Services      []string   `yaml:"services" shown:"all" doc:"Names of the services to run in this process; none for a bare broker."`
	Broker        Broker     `yaml:"broker"`
	Log           Log        `yaml:"log"`
	HTTP          HTTP       `yaml:"http"`
	TLS           TLS        `yaml:"tls"`
	ProxyProtocol Proxy      `yaml:"proxy_protocol"`
	Limits        Limits     `yaml:"limits"`
	Access        Access     `yaml:"access"`
	Dedup         Dedup      `yaml:"dedup"`
	Devices       Devices    `yaml:"devices"`
	Health        Health     `yaml:"health"`
	Trace         Trace      `yaml:"trace"`

	// One field per service of this version; its type has a check method, in a file of its own.
	// The order is that of tarsd check.
	Memory        Memory        `yaml:"memory"`
	LLM           LLM           `yaml:"llm"`
	Tools         Tools         `yaml:"tools"`
	Router        Router        `yaml:"router"`
	Camera        Camera        `yaml:"camera"`
	Movement      Movement      `yaml:"movement"`
	Ears          Ears          `yaml:"ears"`
	TTS           TTS           `yaml:"tts"`
	STT           STT           `yaml:"stt"`
	Wake          Wake          `yaml:"wake"`
	HomeAssistant HomeAssistant `yaml:"homeassistant"`
	Wyoming       Wyoming       `yaml:"wyoming"`
}

// Log says what is written to stderr and how.
type Log struct {
	Level  Level  `yaml:"level" doc:"Least level that is written: debug, info, warn, error."`
	Format Format `yaml:"format" doc:"text, json, or auto: text on a terminal and JSON otherwise."`
}

// HTTP is the port for people.
type HTTP struct {
	Listen         string   `yaml:"listen" doc:"Address of the HTTP port: MQTT over WebSocket at /mqtt, /metrics, /healthz, /readyz. off for none."`
	AllowedOrigins []string `yaml:"allowed_origins" shown:"same origin only" doc:"Origins, besides the page's own, from which browsers may open /mqtt, such as https://robot.example. * allows all."`
	RemoteMetrics  bool     `yaml:"remote_metrics" doc:"Open /metrics and the details of /healthz to peers outside this machine."`
}

// TLS is the server's identity and what it asks of clients.
type TLS struct {
	Cert              string `yaml:"cert" doc:"File of the certificate chain (PEM). It is read again when it changes."`
	Key               string `yaml:"key" doc:"File of the private key (PEM)."`
	ClientCA          string `yaml:"client_ca" doc:"File of the authorities whose client certificates are accepted (PEM)."`
	RequireClientCert bool   `yaml:"require_client_cert" doc:"Refuse TLS clients without a certificate of client_ca."`
}

// Proxy is the PROXY protocol, by which a load balancer tells the real address of a client.
type Proxy struct {
	Enabled bool     `yaml:"enabled" doc:"Expect a PROXY protocol v2 header from trusted peers on tcp and tls listeners."`
	Trusted []string `yaml:"trusted" shown:"none" doc:"Addresses or networks of the proxies, such as 10.0.0.0/8. Others are taken as they are."`
}

// Limits bound what clients may cost. Zero means no limit where the text says so.
type Limits struct {
	Connections           int         `yaml:"connections" doc:"Connections at once, authenticated or not."`
	ConnectionsPerAddress int         `yaml:"connections_per_address" doc:"The same for one address; local peers are exempt."`
	ConnectTimeout        Duration    `yaml:"connect_timeout" doc:"Time from accept to a complete CONNECT."`
	PreauthBytes          Size        `yaml:"preauth_bytes" doc:"Largest packet before a client is let in."`
	PacketBytes           Size        `yaml:"packet_bytes" doc:"Largest packet; announced to MQTT 5 clients."`
	ReceiveMaximum        uint16      `yaml:"receive_maximum" doc:"QoS 1 and 2 messages that a client may have unacknowledged towards us; announced."`
	Inflight              uint16      `yaml:"inflight" doc:"QoS 1 and 2 messages that we have unacknowledged towards a client; its own Receive Maximum lowers it."`
	TopicAliasMaximum     uint16      `yaml:"topic_alias_maximum" doc:"Topic aliases that a client may use towards us; announced. 0 for none."`
	MaxQoS                uint8       `yaml:"max_qos" doc:"Highest QoS that is accepted: 0, 1 or 2."`
	Retain                bool        `yaml:"retain" doc:"Whether retained messages are accepted."`
	RetainedMessages      int         `yaml:"retained_messages" doc:"Retained messages in all; further topics are refused."`
	RetainedBytes         Size        `yaml:"retained_bytes" doc:"Bytes of retained messages in all."`
	KeepAlive             uint16      `yaml:"keep_alive" doc:"Longest keep-alive in seconds; MQTT 5 clients are told, others are held to it. 0 leaves the client's own."`
	QueueMessages         int         `yaml:"queue_messages" doc:"Messages waiting for one session."`
	QueueBytes            Size        `yaml:"queue_bytes" doc:"Bytes waiting for one session."`
	QueueTotalBytes       Size        `yaml:"queue_total_bytes" doc:"Bytes waiting for all sessions."`
	QueuePolicy           QueuePolicy `yaml:"queue_policy" doc:"When a queue is full. refuse: the publisher is refused. drop_oldest: the oldest message goes. expire: messages older than queue_age go, else refuse."`
	QueueAge              Duration    `yaml:"queue_age" doc:"Age at which queue_policy expire may drop a message."`
	Sessions              int         `yaml:"sessions" doc:"Sessions, connected or kept. Further client ids are refused."`
	SessionExpiry         Duration    `yaml:"session_expiry" doc:"Longest life of a session without its client. 3.1.1 clients with clean session off get this."`
	Subscriptions         int         `yaml:"subscriptions" doc:"Subscriptions of one session."`
	TopicLevels           int         `yaml:"topic_levels" doc:"Levels of a topic or filter."`
	TopicBytes            int         `yaml:"topic_bytes" doc:"Bytes of a topic or filter."`
	BufferBytes           Size        `yaml:"buffer_bytes" doc:"Bytes waiting for one socket, above which QoS 0 for that client is dropped (and counted)."`
	BufferTotalBytes      Size        `yaml:"buffer_total_bytes" doc:"The same for all sockets together; above it each has 1 MiB."`
	WriteTimeout          Duration    `yaml:"write_timeout" doc:"Time that a socket may take no byte before it is closed."`
	Rate                  Rate        `yaml:"rate"`
	TopicRates            []TopicRate `yaml:"topic_rates" shown:"none" doc:"Rates of one client per topic filter: a list of {filter, messages, bytes}."`
}

// Rate is what one client may publish.
type Rate struct {
	Messages int  `yaml:"messages" doc:"Messages a second of one client; 0 for no limit."`
	Bytes    Size `yaml:"bytes" doc:"Bytes of topics and payloads a second of one client; 0 for no limit."`
}

// TopicRate bounds what goes through topics that match a filter.
type TopicRate struct {
	Filter   string `yaml:"filter"`
	Messages int    `yaml:"messages"` // a second; 0 for no limit
	Bytes    Size   `yaml:"bytes"`    // a second; 0 for no limit
}

// Access says who may do what. Users are not configuration: see tarsd passwd.
type Access struct {
	Anonymous      Anonymous           `yaml:"anonymous" doc:"Who gets in without a user name: loopback (this machine), true (everybody), false (nobody)."`
	Roles          map[string][]string `yaml:"roles" shown:"none" doc:"Roles of your own, or built-in ones replaced: NAME: a list of rules (see Roles below)."`
	LocalRoles     []string            `yaml:"local_roles" doc:"Roles of peers of this machine without a user name."`
	AnonymousRoles []string            `yaml:"anonymous_roles" doc:"Roles of other peers without a user name, when anonymous is true."`
	TLSUser        bool                `yaml:"tls_user" doc:"The common name of a verified client certificate is the user, without a password."`
}

// Default is the configuration without file, environment and flags.
func Default() Config {
	return Config{
		Durability: Strict,
		Log:        Log{Level: "info", Format: FormatAuto},
		HTTP:       HTTP{Listen: ":5010"},
		Limits: Limits{
			Connections:           10_000,
			ConnectionsPerAddress: 1000,
			ConnectTimeout:        Duration(5 * time.Second),
			PreauthBytes:          16 * KiB,
			PacketBytes:           2 * MiB,
			ReceiveMaximum:        1000,
			Inflight:              1000,
			TopicAliasMaximum:     100,
			MaxQoS:                2,
			Retain:                true,
			RetainedMessages:      200_000,
			RetainedBytes:         256 * MiB,
			QueueMessages:         10_000,
			QueueBytes:            64 * MiB,
			QueueTotalBytes:       256 * MiB,
			QueuePolicy:           Refuse,
			QueueAge:              Duration(24 * time.Hour),
			Sessions:              20_000,
			SessionExpiry:         Duration(720 * time.Hour),
			Subscriptions:         1000,
			TopicLevels:           32,
			TopicBytes:            1024,
			BufferBytes:           32 * MiB,
			BufferTotalBytes:      256 * MiB,
			WriteTimeout:          Duration(10 * time.Second),
		},
		Memory:        defaultMemory(),
		LLM:           defaultLLM(),
		Tools:         defaultTools(),
		Router:        defaultRouter(),
		Camera:        defaultCamera(),
		Movement:      defaultMovement(),
		Ears:          defaultEars(),
		TTS:           defaultTTS(),
		STT:           defaultSTT(),
		Wake:          defaultWake(),
		HomeAssistant: defaultHomeAssistant(),
		Wyoming:       Wyoming{Connections: 8},
		Access:        Access{Anonymous: AnonymousLoopback, LocalRoles: []string{"admin"}, AnonymousRoles: []string{"service"}},
		Dedup:         defaultDedup(),
		Devices:       Devices{ESP32: true, Legacy: true},
		Health:        defaultHealth(),
		Trace:         Trace{Queue: 2048},
	}
}

// defaultDataDir is where tarsd keeps its data when nobody says where. It depends only on the
// environment that it is given.
func defaultDataDir(env map[string]string, root bool) string {
	switch {
	case env["STATE_DIRECTORY"] != "": // systemd; may be a list
		return filepath.SplitList(env["STATE_DIRECTORY"])[0]
	case root:
		return "/var/lib/tarsd"
	case env["XDG_DATA_HOME"] != "":
		return filepath.Join(env["XDG_DATA_HOME"], "tarsd")
	case env["HOME"] != "":
		return filepath.Join(env["HOME"], ".local", "share", "tarsd")
	}
	return "data"
}

func isRoot() bool { return os.Geteuid() == 0 }

// maxSocketPath is the longest path of a unix socket on Linux.
const maxSocketPath = 107

// SocketPath is where local tools find the broker.
func (c Config) SocketPath() string { return filepath.Join(c.DataDir, "tarsd.sock") }

// Listeners are the URLs to listen at: those of the configuration, or the default ones. The
// default unix socket is left out when its path is longer than the system allows.
func (c Config) Listeners() []string {
	if len(c.Listen) > 0 {
		return c.Listen
	}
	urls := []string{"tcp://:1883"}
	if c.TLS.Cert != "" {
		urls = append(urls, "tls://:8883")
	}
	if p, err := filepath.Abs(c.SocketPath()); err == nil && len(p) <= maxSocketPath {
		urls = append(urls, "unix://"+p)
	}
	return urls
}

// HTTPEnabled reports whether there is an HTTP port.
func (c Config) HTTPEnabled() bool { return c.HTTP.Listen != "off" && c.HTTP.Listen != "" }
