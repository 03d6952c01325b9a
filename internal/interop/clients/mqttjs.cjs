// Tests with MQTT.js, over TCP and WebSocket, as a page or a Node program would use it.
'use strict'

const assert = require('node:assert/strict')
const { randomUUID } = require('node:crypto')
const mqtt = require('mqtt')

const [url, protocol] = process.argv.slice(2)
const v5 = protocol === '5'
const WAIT = 20_000 // ms; nothing waits that long unless it is broken

const topic = () => 'js/' + randomUUID()

// within fails when a promise takes too long.
function within (promise, what) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error('waited too long for ' + what)), WAIT)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// Client is one connection whose messages wait in a queue.
class Client {
  static async start (options = {}) {
    const c = new Client()
    c.queue = []
    c.waiting = []
    if (options.expiry) options.properties = { sessionExpiryInterval: options.expiry }
    c.c = mqtt.connect(url, {
      protocolVersion: v5 ? 5 : 4, clientId: 'js' + randomUUID().slice(0, 8), reconnectPeriod: 0, connectTimeout: WAIT, ...options
    })
    c.c.on('error', (e) => { c.error = e })
    c.c.on('message', (topic, payload, packet) => {
      const m = { topic, payload, packet }
      if (c.waiting.length > 0) c.waiting.shift()(m)
      else c.queue.push(m)
    })
    c.connack = await within(new Promise((resolve, reject) => {
      c.c.once('connect', resolve)
      c.c.once('close', () => reject(c.error || new Error('closed before CONNACK')))
    }), 'CONNACK')
    return c
  }

  async subscribe (filters, options) {
    const granted = await within(this.c.subscribeAsync(filters, options), 'SUBACK')
    for (const g of granted) assert.ok(g.qos <= 2, `granted ${g.qos} for ${g.topic}`)
  }

  publish (t, payload, options) { return within(this.c.publishAsync(t, payload, options), 'acknowledgement') }

  async receive (t, payload) {
    const m = this.queue.shift() || await within(new Promise((resolve) => this.waiting.push(resolve)), `message on ${t}`)
    if (t !== undefined) assert.equal(m.topic, t)
    if (payload !== undefined) assert.equal(m.payload.toString(), payload)
    return m
  }

  stop () { return within(this.c.endAsync(), 'the end') }

  // kill ends the connection as a broken network does.
  kill () { this.c.stream.destroy() }
}

const tests = {
  async everyQoS () {
    const [sub, pub, t] = [await Client.start(), await Client.start(), topic()]
    await sub.subscribe(t + '/#', { qos: 2 })
    for (const qos of [0, 1, 2]) {
      await pub.publish(`${t}/${qos}`, `message ${qos}`, { qos })
      const m = await sub.receive(`${t}/${qos}`, `message ${qos}`)
      assert.equal(m.packet.qos, qos)
    }
    await sub.stop()
    await pub.stop()
  },

  async keepsOrder () {
    const [sub, pub, t] = [await Client.start(), await Client.start(), topic()]
    await sub.subscribe(t, { qos: 2 })
    for (const qos of [1, 2]) {
      const sent = []
      for (let i = 0; i < 300; i++) sent.push(pub.publish(t, String(i), { qos }))
      for (let i = 0; i < 300; i++) await sub.receive(t, String(i))
      await Promise.all(sent)
    }
    await sub.stop()
    await pub.stop()
  },

  async largePayloads () {
    const [sub, pub, t] = [await Client.start(), await Client.start(), topic()]
    await sub.subscribe(t, { qos: 1 })
    for (const size of [0, 1, 127, 128, 16384, 1 << 20]) {
      const payload = Buffer.alloc(size, 'payload')
      await pub.publish(t, payload, { qos: 1 })
      assert.ok((await sub.receive(t)).payload.equals(payload), `${size} bytes`)
    }
    await sub.stop()
    await pub.stop()
  },

  async retained () {
    const [pub, t] = [await Client.start(), topic()]
    await pub.publish(t, 'kept', { qos: 1, retain: true })
    const sub = await Client.start()
    await sub.subscribe(t, { qos: 1 })
    assert.equal((await sub.receive(t, 'kept')).packet.retain, true)
    await pub.publish(t, '', { qos: 1, retain: true })
    await sub.receive(t, '')
    const late = await Client.start()
    await late.subscribe(t, { qos: 1 })
    await pub.publish(t, 'after', { qos: 1 })
    await late.receive(t, 'after')
    for (const c of [pub, sub, late]) await c.stop()
  },

  async lastWill () {
    const [watch, t] = [await Client.start(), topic()]
    await watch.subscribe(t, { qos: 1 })
    const polite = await Client.start({ will: { topic: t, payload: Buffer.from('polite'), qos: 1, retain: false } })
    await polite.stop()
    const rude = await Client.start({ will: { topic: t, payload: Buffer.from('rude'), qos: 1, retain: false } })
    rude.kill()
    await watch.receive(t, 'rude')
    await watch.stop()
  },

  async keptSession () {
    const [clientId, t] = ['js' + randomUUID().slice(0, 8), topic()]
    let c = await Client.start({ clientId, clean: false, expiry: v5 ? 300 : undefined })
    assert.equal(c.connack.sessionPresent, false)
    await c.subscribe(t, { qos: 2 })
    await c.stop()
    const pub = await Client.start()
    for (let i = 0; i < 40; i++) await pub.publish(t, String(i), { qos: i < 20 ? 1 : 2 })
    c = await Client.start({ clientId, clean: false, expiry: v5 ? 300 : undefined })
    assert.equal(c.connack.sessionPresent, true)
    for (let i = 0; i < 40; i++) await c.receive(t, String(i))
    await c.stop()
    await pub.stop()
    c = await Client.start({ clientId, clean: true })
    assert.equal(c.connack.sessionPresent, false)
    await c.stop()
  },

  async reconnects () {
    const t = topic()
    const c = await Client.start({ reconnectPeriod: 10 })
    await c.subscribe(t, { qos: 1 })
    const back = within(new Promise((resolve) => c.c.once('connect', resolve)), 'the reconnect')
    c.kill()
    await back
    const pub = await Client.start()
    // It subscribes again by itself; when is not told, so the message is repeated until it is.
    const timer = setInterval(() => pub.c.publish(t, 'again', { qos: 1 }), 20)
    await c.receive(t, 'again').finally(() => clearInterval(timer))
    await c.stop()
    await pub.stop()
  },

  async unsubscribes () {
    const [c, t] = [await Client.start(), topic()]
    await c.subscribe([t + '/a', t + '/b'], { qos: 1 })
    await within(c.c.unsubscribeAsync(t + '/a'), 'UNSUBACK')
    await c.publish(t + '/a', 'no', { qos: 1 })
    await c.publish(t + '/b', 'yes', { qos: 1 })
    await c.receive(t + '/b', 'yes')
    await c.stop()
  }
}

const tests5 = {
  async properties () {
    const [sub, pub, t] = [await Client.start(), await Client.start(), topic()]
    await sub.subscribe(t, { qos: 1, properties: { subscriptionIdentifier: 9 } })
    await pub.publish(t, 'x', {
      qos: 1,
      properties: {
        payloadFormatIndicator: true, messageExpiryInterval: 60, contentType: 'text/plain', responseTopic: 'answer',
        correlationData: Buffer.from([0, 1]), userProperties: { a: ['1', '2'], b: '3' }
      }
    })
    const p = (await sub.receive(t, 'x')).packet.properties
    assert.equal(p.contentType, 'text/plain')
    assert.equal(p.responseTopic, 'answer')
    assert.equal(p.payloadFormatIndicator, true)
    assert.ok(p.messageExpiryInterval >= 58 && p.messageExpiryInterval <= 60)
    assert.deepEqual([...p.correlationData], [0, 1])
    assert.deepEqual({ ...p.userProperties }, { a: ['1', '2'], b: '3' })
    assert.deepEqual([p.subscriptionIdentifier].flat(), [9])
    await sub.stop()
    await pub.stop()
  },

  async topicAliases () {
    const [sub, pub, t] = [await Client.start({ properties: { topicAliasMaximum: 10 } }), await Client.start({ autoAssignTopicAlias: true }), topic()]
    await sub.subscribe(t + '/#', { qos: 1 })
    for (let i = 0; i < 30; i++) {
      await pub.publish(`${t}/${i % 3}`, String(i), { qos: i % 2 })
      await sub.receive(`${t}/${i % 3}`, String(i))
    }
    await sub.stop()
    await pub.stop()
  },

  async noLocal () {
    const [a, b, t] = [await Client.start(), await Client.start(), topic()]
    await a.subscribe(t, { qos: 1, nl: true })
    await a.publish(t, 'own', { qos: 1 })
    await b.publish(t, 'other', { qos: 1 })
    await a.receive(t, 'other')
    await a.stop()
    await b.stop()
  }
}

async function main () {
  const all = { ...tests, ...(v5 ? tests5 : {}) }
  for (const [test, run] of Object.entries(all)) {
    let result = { test, ok: true }
    try {
      await run()
    } catch (e) {
      result = { test, ok: false, error: String(e.stack || e) }
    }
    console.log(JSON.stringify(result))
  }
  console.log(JSON.stringify({ done: Object.keys(all).length }))
  process.exit(0)
}

main()
