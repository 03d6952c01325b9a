package mqttcli

const commonUsage = `
Where to:
  -h, --host HOST        server; localhost if not given
  -p, --port PORT        1883, or 8883 with TLS
      --unix PATH        unix socket of the server
  -L, --url URL          mqtt[s]://[user[:password]@]host[:port]/topic,
                         ws[s]://host[:port]/path (topic by -t), unix:///path
  -A ADDRESS             local address to connect from

Who:
  -u, --username NAME
  -P, --pw PASSWORD      better: environment variable TARSD_PASSWORD, which others cannot see
  -i, --id ID            client id; chosen by the server if not given
  -I, --id-prefix PREFIX client id of this and the process id

How:
  -V VERSION             mqttv5, mqttv311 or mqttv31 (5, 311, 31); without it 5, and 311
                         if the server does not know 5
  -q, --qos N            0, 1 or 2
  -k, --keepalive SEC    60
  -c                     keep the session (needs -i)
  -x SECONDS             session expiry; -1 or ∞: never
  -D PACKET PROPERTY VALUE, -D PACKET user-property NAME VALUE
                         MQTT 5 property; PACKET is connect, publish, will, subscribe,
                         unsubscribe or disconnect
      --will-topic T, --will-payload P, --will-qos N, --will-retain
  -d, --debug            show the packets, on standard error
      --quiet            no messages about errors

TLS (also by port 8883 and mqtts://):
      --cafile FILE, --capath DIR, --tls-use-os-certs
      --cert FILE, --key FILE
      --insecure         do not check the server's name; without --cafile, nothing at all
      --tls-version V    tlsv1.2 or tlsv1.3
      --tls-alpn NAME
`

const pubUsage = `Usage: tarsd pub [options] -t TOPIC {-m MESSAGE | -f FILE | -s | -l | -n}

Publishes like mosquitto_pub. The exit code is 0, the MQTT code of a refusal, 7 when the
connection was lost, or 1.

What:
  -t, --topic TOPIC
  -m, --message TEXT
  -f, --file FILE        the file is the message
  -s, --stdin-file       standard input is the message
  -l, --stdin-line       each line of standard input is a message; connects again if need be
  -n, --null-message     an empty message
  -r, --retain
      --repeat N         send -m, -f, -s or -n this often
      --repeat-delay SEC
  -M, --max-inflight N   messages sent and not acknowledged; 20
` + commonUsage

const subUsage = `Usage: tarsd sub [options] -t FILTER [-t FILTER ...]

Prints messages like mosquitto_sub. The exit code is 0, 27 after -W, the MQTT code of a
refusal, 7 when the server sent us away, or 1.

What:
  -t, --topic FILTER     repeat for more
  -T, --filter-out FILTER
                         do not print these
  -U, --unsubscribe FILTER
                         end a subscription of a kept session
  -R                     no retained messages
      --retained-only    only retained ones; ends at the first other
      --remove-retained  remove the retained messages that come
      --retain-as-published, --retain-handling always|new|never   (MQTT 5)
      --random-filter PERCENT
  -C COUNT               end after so many messages
  -W SECONDS             end after that time, with code 27
  -E                     end when subscribed

Output:
  -v, --verbose          topic and message
  -N                     no newline after a message
  -F FORMAT              %t topic  %p payload  %x %X payload in hex  %l length  %q QoS  %r retain  %m id
                         %j JSON  %J JSON with a JSON payload  %I ISO time  %U Unix time  %% percent
                         %A alias  %C content type  %D correlation  %E expiry  %F payload format
                         %P user properties  %R response topic  %S subscription id
                         %10t %-10t %.5t %05l widths  @H @M ... strftime  @N nanoseconds  \n \t \0 \e
      --pretty           %j and %J on several lines
` + commonUsage
