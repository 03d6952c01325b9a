package mqttcli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/paho"
)

// Protocol versions as MQTT numbers them.
const (
	v31  = 3
	v311 = 4
	v5   = 5
)

// options are the parsed arguments of either command.
type options struct {
	name     string // "pub" or "sub"
	server   server
	version  byte // 0: 5, or 3.1.1 if the server does not know 5
	id       string
	prefix   string // -I
	user     string
	password string
	hasUser  bool
	hasPass  bool
	keep     uint16
	persist  bool   // -c
	expiry   uint32 // -x
	hasExp   bool
	qos      byte
	debug    bool
	quiet    bool
	inflight int // -M
	will     *will
	props    properties

	topics []string // -t

	// pub
	retain      bool
	mode        mode
	text        string // of -m, or the file of -f
	repeat      int
	repeatDelay time.Duration

	// sub
	filterOut      []string
	unsubscribe    []string
	format         *format
	verbose        bool
	noNewline      bool
	pretty         bool
	skipRetained   bool // -R
	retainedOnly   bool
	removeRetained bool
	asPublished    bool
	retainHandling byte
	count          int
	exitAfterSub   bool
	timeout        time.Duration
	random         float64 // percent of messages printed

	tls     tlsOptions
	tlsConf *tls.Config
}

// mode is where pub takes the message from.
type mode byte

const (
	fromNowhere mode = iota
	fromArgument
	fromFile
	fromStdin
	fromLines
	fromNull
)

type will struct {
	topic   string
	payload string
	qos     byte
	retain  bool
	given   bool // one of the options that need a topic
}

// properties are those given with -D.
type properties struct {
	connect     paho.ConnectProperties
	will        paho.WillProperties
	publish     paho.PublishProperties
	disconnect  paho.DisconnectProperties
	subscribe   paho.SubscribeProperties
	unsubscribe paho.UnsubscribeProperties
	any         bool
}

// option is one option: its names, how many words follow it, and what it does with them.
type option struct {
	short, long string
	words       int
	only        string // "pub" or "sub"; empty: both
	set         func(o *options, v []string) error
}

func flag(f func(o *options)) func(*options, []string) error {
	return func(o *options, _ []string) error { f(o); return nil }
}

func value(f func(o *options, v string)) func(*options, []string) error {
	return func(o *options, v []string) error { f(o, v[0]); return nil }
}

// number parses a decimal between low and high.
func number(low, high int64, f func(o *options, n int64)) func(*options, []string) error {
	return func(o *options, v []string) error {
		n, err := strconv.ParseInt(v[0], 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("must be a number from %d to %d, not %q", low, high, v[0])
		}
		f(o, n)
		return nil
	}
}

func source(m mode) func(*options, []string) error {
	return func(o *options, v []string) error {
		if o.mode != fromNowhere {
			return fmt.Errorf("only one type of message can be sent at once")
		}
		o.mode = m
		if len(v) > 0 {
			o.text = v[0]
		}
		return nil
	}
}

// optionTable is all options of both commands.
func optionTable() []option {
	all := connectionOptions()
	all = append(all, tlsOptionTable()...)
	all = append(all, pubOptions()...)
	return append(all, subOptions()...)
}

func connectionOptions() []option {
	return []option{
		{"-h", "--host", 1, "", value(func(o *options, v string) { o.server.host = v })},
		{"-p", "--port", 1, "", number(1, 65535, func(o *options, n int64) { o.server.port = int(n) })},
		{"", "--unix", 1, "", value(func(o *options, v string) { o.server.socket = v })},
		{"-L", "--url", 1, "", func(o *options, v []string) error { return o.setURL(v[0]) }},
		{"-A", "", 1, "", value(func(o *options, v string) { o.server.bind = v })},
		{"-u", "--username", 1, "", value(func(o *options, v string) { o.user, o.hasUser = v, true })},
		{"-P", "--pw", 1, "", value(func(o *options, v string) { o.password, o.hasPass = v, true })},
		{"-i", "--id", 1, "", value(func(o *options, v string) { o.id = v })},
		{"-I", "--id-prefix", 1, "", value(func(o *options, v string) { o.prefix = v })},
		{"-k", "--keepalive", 1, "", number(0, math.MaxUint16, func(o *options, n int64) { o.keep = uint16(n) })},
		{"-c", "--disable-clean-session", 0, "", flag(func(o *options) { o.persist = true })},
		{"-x", "--session-expiry-interval", 1, "", setExpiry},
		{"-V", "--protocol-version", 1, "", setVersion},
		{"-D", "--property", 3, "", (*options).setProperty},
		{"-M", "--max-inflight", 1, "", number(1, math.MaxUint16, func(o *options, n int64) { o.inflight = int(n) })},
		{"-q", "--qos", 1, "", number(0, 2, func(o *options, n int64) { o.qos = byte(n) })},
		{"-d", "--debug", 0, "", flag(func(o *options) { o.debug = true })},
		{"", "--quiet", 0, "", flag(func(o *options) { o.quiet = true })},
		{"", "--nodelay", 0, "", flag(func(*options) {})}, // Go sets it on every socket
		{"-t", "--topic", 1, "", value(func(o *options, v string) { o.topics = append(o.topics, v) })},
		{"", "--will-topic", 1, "", value(func(o *options, v string) { o.will.topic = v })},
		{"", "--will-payload", 1, "", value(func(o *options, v string) { o.will.payload, o.will.given = v, true })},
		{"", "--will-qos", 1, "", number(0, 2, func(o *options, n int64) { o.will.qos, o.will.given = byte(n), true })},
		{"", "--will-retain", 0, "", flag(func(o *options) { o.will.retain, o.will.given = true, true })},
		{"", "--help", 0, "", func(*options, []string) error { return errHelp }},
	}
}

func pubOptions() []option {
	return []option{
		{"-m", "--message", 1, "pub", source(fromArgument)},
		{"-f", "--file", 1, "pub", source(fromFile)},
		{"-s", "--stdin-file", 0, "pub", source(fromStdin)},
		{"-l", "--stdin-line", 0, "pub", source(fromLines)},
		{"-n", "--null-message", 0, "pub", source(fromNull)},
		{"-r", "--retain", 0, "pub", flag(func(o *options) { o.retain = true })},
		{"", "--repeat", 1, "pub", number(1, math.MaxInt32, func(o *options, n int64) { o.repeat = int(n) })},
		{"", "--repeat-delay", 1, "pub", func(o *options, v []string) error {
			f, err := strconv.ParseFloat(v[0], 64)
			if err != nil || !(f >= 0) || f > 1e6 {
				return fmt.Errorf("must be seconds, not %q", v[0])
			}
			o.repeatDelay = time.Duration(f * float64(time.Second))
			return nil
		}},
	}
}

func subOptions() []option {
	return []option{
		{"-T", "--filter-out", 1, "sub", value(func(o *options, v string) { o.filterOut = append(o.filterOut, v) })},
		{"-U", "--unsubscribe", 1, "sub", value(func(o *options, v string) { o.unsubscribe = append(o.unsubscribe, v) })},
		{"-F", "", 1, "sub", func(o *options, v []string) (err error) { o.format, err = compile(v[0]); return err }},
		{"-v", "--verbose", 0, "sub", flag(func(o *options) { o.verbose = true })},
		{"-N", "", 0, "sub", flag(func(o *options) { o.noNewline = true })},
		{"", "--pretty", 0, "sub", flag(func(o *options) { o.pretty = true })},
		{"-R", "", 0, "sub", flag(func(o *options) { o.skipRetained = true })},
		{"", "--retained-only", 0, "sub", flag(func(o *options) { o.retainedOnly = true })},
		{"", "--remove-retained", 0, "sub", flag(func(o *options) { o.removeRetained = true })},
		{"", "--retain-as-published", 0, "sub", flag(func(o *options) { o.asPublished = true })},
		{"", "--retain-handling", 1, "sub", func(o *options, v []string) error {
			h, ok := map[string]byte{"always": 0, "new": 1, "never": 2}[v[0]]
			if !ok {
				return fmt.Errorf("must be always, new or never, not %q", v[0])
			}
			o.retainHandling = h
			return nil
		}},
		{"-C", "", 1, "sub", number(1, math.MaxInt32, func(o *options, n int64) { o.count = int(n) })},
		{"-E", "", 0, "sub", flag(func(o *options) { o.exitAfterSub = true })},
		{"-W", "", 1, "sub", number(1, math.MaxInt32, func(o *options, n int64) { o.timeout = time.Duration(n) * time.Second })},
		{"", "--random-filter", 1, "sub", func(o *options, v []string) error {
			f, err := strconv.ParseFloat(v[0], 64)
			if err != nil || !(f >= 0.1 && f <= 100) {
				return fmt.Errorf("must be a percentage from 0.1 to 100, not %q", v[0])
			}
			o.random = f
			return nil
		}},
	}
}

func setVersion(o *options, v []string) error {
	n, ok := map[string]byte{"5": v5, "mqttv5": v5, "311": v311, "mqttv311": v311, "31": v31, "mqttv31": v31}[v[0]]
	if !ok {
		return fmt.Errorf("must be mqttv5, mqttv311 or mqttv31, not %q", v[0])
	}
	o.version = n
	return nil
}

func setExpiry(o *options, v []string) error {
	o.hasExp = true
	if v[0] == "-1" || v[0] == "∞" {
		o.expiry = math.MaxUint32
		return nil
	}
	n, err := strconv.ParseUint(v[0], 10, 32)
	if err != nil {
		return fmt.Errorf("must be seconds, -1 or ∞, not %q", v[0])
	}
	o.expiry = uint32(n)
	return nil
}

// unsupported options exist in Mosquitto's clients; a script that uses them hears why it fails.
var unsupported = map[string]string{
	"-S": "SRV lookups", "--proxy": "SOCKS proxies", "--psk": "TLS-PSK", "--psk-identity": "TLS-PSK",
	"--ciphers": "cipher lists", "--tls-engine": "TLS engines", "--tls-engine-kpass-sha1": "TLS engines", "--keyform": "TLS engines",
}

// parse reads the arguments of a command and checks them together.
func parse(name string, args []string, getenv func(string) string) (*options, error) {
	o := &options{name: name, keep: 60, inflight: 20, repeat: 1, will: &will{}}
	byName := map[string]*option{}
	table := optionTable()
	for i := range table {
		if e := &table[i]; e.only == "" || e.only == name {
			byName[e.short], byName[e.long] = e, e
		}
	}
	delete(byName, "")
	for len(args) > 0 {
		arg := args[0]
		e := byName[arg]
		if e == nil {
			if what, ok := unsupported[arg]; ok {
				return o, usagef("%s: tarsd does not offer %s", arg, what)
			}
			return o, usagef("unknown option %q", arg)
		}
		words := e.words
		if e.short == "-D" && len(args) > 2 && args[2] == "user-property" {
			words = 4
		}
		if len(args) <= words {
			return o, usagef("%s argument given but no value specified", arg)
		}
		if err := e.set(o, args[1:1+words]); err != nil {
			if errors.Is(err, errHelp) {
				return o, err
			}
			return o, usagef("%s: %s", arg, err)
		}
		args = args[1+words:]
	}
	if getenv != nil && !o.hasPass {
		if p := getenv("TARSD_PASSWORD"); p != "" && o.hasUser {
			o.password, o.hasPass = p, true
		}
	}
	return o, o.check()
}

// check looks at the options together.
func (o *options) check() error {
	if err := o.server.check(); err != nil {
		return err
	}
	if o.props.any {
		if o.version != 0 && o.version != v5 {
			return usagef("-D needs MQTT 5")
		}
		o.version = v5
	}
	if o.id != "" && o.prefix != "" {
		return usagef("-i and -I cannot be used together")
	}
	if o.prefix != "" {
		o.id = o.prefix + strconv.Itoa(os.Getpid())
	}
	if o.persist && o.id == "" {
		return usagef("you must provide a client id if you are using the -c option")
	}
	if !o.hasExp && o.persist {
		o.expiry = math.MaxUint32
	}
	if o.hasPass && !o.hasUser && (o.version == v311 || o.version == v31) {
		return usagef("-P needs -u with MQTT 3.1 and 3.1.1")
	}
	if o.will.topic == "" {
		if o.will.given {
			return usagef("will options given, but no --will-topic")
		}
		o.will = nil
	} else if !validTopic(o.will.topic) {
		return usagef("invalid will topic %q, does it contain '+' or '#'?", o.will.topic)
	}
	var err error
	if o.tlsConf, err = o.tls.config(o); err != nil {
		return err
	}
	for _, s := range append([]string{o.id, o.user}, o.topics...) {
		if !utf8.ValidString(s) {
			return usagef("%q is not valid UTF-8", s)
		}
	}
	if o.name == "pub" {
		return o.checkPub()
	}
	return o.checkSub()
}

func (o *options) checkPub() error {
	if len(o.topics) == 0 || o.mode == fromNowhere {
		return usagef("both topic and message must be supplied")
	}
	o.topics = o.topics[len(o.topics)-1:] // the last one wins
	if !validTopic(o.topics[0]) {
		return usagef("invalid publish topic %q, does it contain '+' or '#'?", o.topics[0])
	}
	return nil
}

func (o *options) checkSub() error {
	if len(o.topics) == 0 && len(o.unsubscribe) == 0 {
		return usagef("you must specify a topic to subscribe to")
	}
	for _, t := range append(append(append([]string{}, o.topics...), o.unsubscribe...), o.filterOut...) {
		if !validFilter(t) {
			return usagef("invalid subscription topic %q, are all '+' and '#' wildcards correct?", t)
		}
	}
	if o.skipRetained && o.retainedOnly {
		return usagef("combining '-R' and '--retained-only' makes no sense")
	}
	if (o.asPublished || o.retainHandling != 0) && o.version != v5 {
		if o.version != 0 {
			return usagef("--retain-as-published and --retain-handling need MQTT 5")
		}
		o.version = v5
	}
	return nil
}
