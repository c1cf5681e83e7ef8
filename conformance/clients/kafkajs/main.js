// The conformance scenarios with kafkajs. Arguments: bootstrap address, prefix, scenarios.
'use strict'
const { Kafka, logLevel, CompressionTypes, CompressionCodecs, ConfigResourceTypes } = require('kafkajs')
const snappy = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const zstd = require('@bokuweb/zstd-wasm')

CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => lz4.compressFrame(encoder.buffer),
  decompress: buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer, 3)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
})

const [addr, prefix, ...names] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [addr], clientId: 'conformance', logLevel: logLevel.NOTHING, retry: { initialRetryTime: 100, retries: 8 } })
const RECORDS = 300
const PARTITIONS = 3
const BASE = 1700000000000

class NotAvailable extends Error {}
const key = i => Buffer.from(`key-${i}`)
const value = i => Buffer.from(`value-${i}-` + 'naru '.repeat(20))
const sleep = ms => new Promise(done => setTimeout(done, ms))
const expect = (ok, detail) => {
  if (!ok) throw new Error(detail)
}
const same = (a, b) => (a === null || b === null || a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0)

async function until(what, ready, seconds = 30) {
  const end = Date.now() + seconds * 1000
  let last
  while (!(last = await ready())) {
    expect(Date.now() < end, `waiting until ${typeof what === 'function' ? what() : what}`)
    await sleep(20)
  }
  return last
}

async function admin(work) {
  const a = kafka.admin()
  await a.connect()
  try {
    return await work(a)
  } finally {
    await a.disconnect()
  }
}

async function newTopic(name, numPartitions, configEntries = []) {
  const topic = `${prefix}-${name}`
  await admin(async a => {
    const created = await a.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }] })
    expect(created, `TOPIC_ALREADY_EXISTS ${topic}`)
    await until('every partition has a leader', async () => {
      try {
        return (await a.fetchTopicOffsets(topic)).length === numPartitions
      } catch (e) {
        return false
      }
    })
  })
  return topic
}

async function send(topic, messages, options = {}) {
  const { idempotent, ...rest } = options
  const p = kafka.producer({ idempotent, allowAutoTopicCreation: false })
  await p.connect()
  try {
    for (let at = 0; at < messages.length; at += 100) {
      await p.send({ topic, messages: messages.slice(at, at + 100), ...rest })
    }
  } finally {
    await p.disconnect()
  }
}

const standard = (from, to, parts) =>
  Array.from({ length: to - from }, (_, n) => ({ key: key(from + n), value: value(from + n), partition: (from + n) % parts }))

// read consumes with a group of its own until n messages have come; kafkajs has no consumer without a group.
const read = (topic, n, options) => readUntil(topic, (r, count) => count >= n, options, n)

// readUntil consumes until a message satisfies last.
async function readUntil(topic, last, { groupId = `${topic}-${Date.now()}`, seek = [], commit = false } = {}, n = 'all') {
  const c = kafka.consumer({ groupId, heartbeatInterval: 500, sessionTimeout: 10000, maxWaitTimeInMs: 200, allowAutoTopicCreation: false })
  const got = []
  let done = false
  try {
    await c.connect()
    await c.subscribe({ topics: [topic], fromBeginning: true })
    await c.run({
      autoCommit: commit,
      eachMessage: async ({ partition, message }) => {
        const r = { partition, offset: Number(message.offset), ...message, at: Number(message.offset) }
        got.push(r)
        done = done || last(r, got.length)
      },
    })
    for (const s of seek) c.seek({ topic, ...s })
    await until(() => `${n} records have come (${got.length})`, () => done)
    if (commit) await c.commitOffsets(ends(topic, got))
  } finally {
    await c.disconnect()
  }
  return got
}

function ends(topic, got) {
  const last = {}
  for (const r of got) last[r.partition] = r.at + 1
  return Object.entries(last).map(([p, offset]) => ({ topic, partition: Number(p), offset: String(offset) }))
}

function verify(got, n, parts) {
  expect(got.length === n, `${got.length} records, want ${n}`)
  const next = Array(parts).fill(0)
  for (const r of got) {
    const p = r.partition
    const i = next[p] * parts + p
    expect(r.at === next[p], `partition ${p}: offset ${r.at}, want ${next[p]}`)
    expect(same(r.key, key(i)) && same(r.value, value(i)), `partition ${p} offset ${r.at} is not record ${i}`)
    next[p]++
  }
}

async function readAll(topic, n, parts) {
  verify(await read(topic, n), n, parts)
  const offsets = await admin(a => a.fetchTopicOffsets(topic))
  const total = offsets.reduce((sum, o) => sum + Number(o.high), 0)
  expect(total === n, `end offsets sum to ${total}, want ${n}`)
}

const produceAndRead = (name, options) => async () => {
  const topic = await newTopic(name, PARTITIONS)
  await send(topic, standard(0, RECORDS, PARTITIONS), options)
  await readAll(topic, RECORDS, PARTITIONS)
}

async function refused(name, code) {
  try {
    await newTopic(name, 1)
  } catch (e) {
    const said = `${e.type} ${e.message} ${(e.errors || []).map(x => x.type)}`
    expect(said.includes(code), `creating ${name}: ${said}`)
    return
  }
  throw new Error(`creating ${name} was accepted`)
}

async function create() {
  const topic = await newTopic('create', PARTITIONS, [{ name: 'retention.ms', value: '3600000' }])
  await admin(async a => {
    expect((await a.listTopics()).includes(topic), 'the new topic is not listed')
    const { topics } = await a.fetchTopicMetadata({ topics: [topic] })
    expect(topics[0].partitions.length === PARTITIONS, `${topics[0].partitions.length} partitions`)
  })
  await refused('create', 'TOPIC_ALREADY_EXISTS')
  await refused('bad name!', 'INVALID_TOPIC_EXCEPTION')
}

async function content() {
  const topic = await newTopic('content', 1)
  const text = s => Buffer.from(s)
  const want = [
    { key: text('k0'), value: text('v0'), headers: { a: ['1', '2'], b: Buffer.from([0, 255, 16]), e: '' } },
    { key: null, value: text('v1') },
    { key: text('k2'), value: null },
    { key: text(''), value: text('') },
    { key: text('ключ-열쇠'), value: text('값') },
  ]
  await send(topic, want.map((m, i) => ({ ...m, partition: 0, timestamp: String(BASE + i * 1000) })))
  const got = await read(topic, want.length)
  want.forEach((w, i) => {
    const g = got[i]
    expect(same(g.key, w.key) && same(g.value, w.value), `record ${i}: key ${g.key} value ${g.value}`)
    expect(g.timestamp === String(BASE + i * 1000), `record ${i}: timestamp ${g.timestamp}`)
    const headers = Object.entries(g.headers || {}).map(([k, v]) => `${k}=${[].concat(v).map(b => b.toString('hex'))}`).join(' ')
    const expected = i === 0 ? 'a=31,32 b=00ff10 e=' : ''
    expect(headers === expected, `record ${i}: headers ${headers}, want ${expected}`)
  })
}

async function sizes() {
  const topic = await newTopic('sizes', 1)
  const big = Buffer.alloc(1000000)
  for (let j = 0; j < big.length; j++) big[j] = (j * 7 + (j >> 8) * 13) & 255
  const values = [Buffer.from('x'), big, Buffer.from('y')]
  for (const v of values) await send(topic, [{ value: v, partition: 0 }])
  try {
    await send(topic, [{ value: Buffer.alloc(2 << 20), partition: 0 }])
    throw new Error('a value of 2 MiB was accepted')
  } catch (e) {
    expect(String(e.type || e.cause?.type) === 'MESSAGE_TOO_LARGE', `a value of 2 MiB: ${e.type} ${e.message}`)
  }
  const got = await read(topic, 3)
  values.forEach((v, i) => expect(same(got[i].value, v), `record ${i} differs`))
}

async function assign() {
  throw new NotAvailable('kafkajs has no consumer without a group')
}

async function group() {
  const topic = await newTopic('group', PARTITIONS)
  await send(topic, standard(0, RECORDS, PARTITIONS))
  verify(await read(topic, RECORDS, { groupId: topic, commit: true }), RECORDS, PARTITIONS)
  const [offsets] = await admin(a => a.fetchOffsets({ groupId: topic, topics: [topic] }))
  for (const o of offsets.partitions) {
    expect(o.offset === String(RECORDS / PARTITIONS), `committed offset of partition ${o.partition} is ${o.offset}`)
  }
}

async function member(topic, seen) {
  const c = kafka.consumer({ groupId: topic, heartbeatInterval: 300, sessionTimeout: 10000, maxWaitTimeInMs: 200 })
  const m = { owned: [], leave: () => c.disconnect() }
  c.on(c.events.GROUP_JOIN, e => (m.owned = e.payload.memberAssignment[topic] || []))
  await c.connect()
  await c.subscribe({ topics: [topic], fromBeginning: true })
  await c.run({ autoCommitThreshold: 1, eachMessage: async ({ message }) => void seen.add(message.value.toString()) })
  return m
}

async function rebalance() {
  const topic = await newTopic('rebalance', 4)
  const seen = new Set()
  const members = []
  let count = 0
  const wait = (what, ready) => until(() => `${what}: seen ${seen.size}, owned ${JSON.stringify(members.map(m => m.owned))}`, ready)
  const allSeen = async () => {
    await send(topic, standard(count, count + 100, 4))
    count += 100
    await wait('all records are seen', () => seen.size === count)
  }
  try {
    const a = await member(topic, seen)
    members.push(a)
    await wait('A owns 4', () => a.owned.length === 4)
    await allSeen()
    const b = await member(topic, seen)
    members.push(b)
    await wait('each owns 2', () => a.owned.length === 2 && b.owned.length === 2 && !a.owned.some(p => b.owned.includes(p)))
    await allSeen()
    await a.leave()
    await wait('B owns 4', () => b.owned.length === 4)
    await allSeen()
  } finally {
    for (const m of members) await m.leave()
  }
}

async function seekTime() {
  const topic = await newTopic('time', 1)
  const messages = Array.from({ length: 30 }, (_, i) => ({ value: value(i), partition: 0, timestamp: String(BASE + i * 60000) }))
  for (const [from, to] of [[0, 6], [6, 16], [16, 30]]) await send(topic, messages.slice(from, to))
  const [found] = await admin(a => a.fetchTopicOffsetsByTimestamp(topic, BASE + 10 * 60000 - 30000))
  expect(found.offset === '10', `offset for time ${JSON.stringify(found)}`)
  const got = await read(topic, 20, { seek: [{ partition: 0, offset: found.offset }] })
  const from10 = got.filter(r => r.at >= 10)
  expect(got[0].at === 10 && from10.length === 20 && same(from10[19].value, value(29)), `read from ${got[0].at}`)
}

async function retention(a, topic) {
  const { resources } = await a.describeConfigs({ includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }] })
  return resources[0].configEntries.find(e => e.configName === 'retention.ms').configValue
}

async function adminTopics() {
  const topic = await newTopic('admin', 2)
  await admin(async a => {
    await a.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
    await until('CreatePartitions gives 5 partitions', async () => (await a.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 5)
    expect((await retention(a, topic)) === '604800000', `default retention.ms ${await retention(a, topic)}`)
    await a.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'retention.ms', value: '1234567' }] }] })
    await until('retention.ms is changed', async () => (await retention(a, topic)) === '1234567')
    await send(topic, standard(0, 100, 5))
    await a.deleteTopicRecords({ topic, partitions: [{ partition: 3, offset: '7' }] })
    const three = (await a.fetchTopicOffsets(topic)).find(o => o.partition === 3)
    expect(three.low === '7', `start after DeleteRecords ${three.low}`)
    expect((await a.describeCluster()).brokers.length === 1, 'DescribeCluster has not one broker')
    await a.deleteTopics({ topics: [topic] })
    await until('the deleted topic is gone', async () => !(await a.listTopics()).includes(topic))
  })
}

async function adminGroups() {
  const topic = await newTopic('admin-groups', 1)
  await send(topic, standard(0, 10, 1))
  await admin(async a => {
    const seen = new Set()
    const m = await member(topic, seen)
    let d
    try {
      await until('10 records have come', () => seen.size === 10)
      d = (await a.describeGroups([topic])).groups[0]
    } finally {
      await m.leave()
    }
    expect(d.state === 'Stable' && d.members.length === 1, `while consuming: ${d.state}, ${d.members.length} members`)
    d = (await a.describeGroups([topic])).groups[0]
    expect(d.state === 'Empty' && d.members.length === 0, `after leaving: ${d.state}, ${d.members.length} members`)
    expect((await a.listGroups()).groups.some(g => g.groupId === topic), 'the group is not listed')
    await a.deleteGroups([topic])
    expect(!(await a.listGroups()).groups.some(g => g.groupId === topic), 'the deleted group is still listed')
  })
}

async function commit() {
  const topic = await newTopic('resume', 1)
  await send(topic, standard(0, 150, 1))
  const c = kafka.consumer({ groupId: topic, maxWaitTimeInMs: 200 })
  let n = 0
  try {
    await c.connect()
    await c.subscribe({ topics: [topic], fromBeginning: true })
    await c.run({ autoCommit: false, eachMessage: async () => void n++ })
    await until('60 records have come', () => n >= 60)
    await c.commitOffsets([{ topic, partition: 0, offset: '60', metadata: 'm-60' }])
  } finally {
    await c.disconnect()
  }
}

async function resume() {
  const topic = `${prefix}-resume`
  const [{ partitions: [at] }] = await admin(a => a.fetchOffsets({ groupId: topic, topics: [topic] }))
  expect(at.offset === '60' && at.metadata === 'm-60', `committed ${JSON.stringify(at)}`)
  const got = await read(topic, 90, { groupId: topic })
  got.forEach((r, i) => expect(r.at === 60 + i && same(r.value, value(60 + i)), `record ${i} after resuming has offset ${r.at}`))
}

const committed = async topic => Number((await admin(a => a.fetchOffsets({ groupId: topic, topics: [topic] })))[0].partitions[0].offset)

// committedOnly checks that a reader of committed records, which kafkajs is, sees exactly these transactions.
async function committedOnly(topic, ...transactions) {
  const got = await read(topic, 10 * transactions.length)
  got.forEach((r, i) => {
    const want = i < 10 * transactions.length ? `${transactions[Math.floor(i / 10)]}-${i % 10}` : 'nothing'
    expect(String(r.value) === want, `record ${i} is ${r.value}, want ${want}`)
  })
}

// transactions commits, aborts, commits offsets, and fences the older producer of an id.
async function transactions() {
  const topic = await newTopic('transactions', 1)
  const producer = () => kafka.producer({ transactionalId: topic, maxInFlightRequests: 1, idempotent: true })
  const [a, b] = [producer(), producer()]
  const write = async (p, what, offset) => {
    const t = await p.transaction()
    await t.send({ topic, messages: Array.from({ length: 10 }, (_, i) => ({ value: `${what}-${i}`, partition: 0 })) })
    await t.sendOffsets({ consumerGroupId: topic, topics: [{ topic, partitions: [{ partition: 0, offset: String(offset) }] }] })
    return t
  }
  try {
    await a.connect()
    await (await write(a, 'first', 10)).commit()
    await (await write(a, 'aborted', 99)).abort()
    await committedOnly(topic, 'first')
    expect((await committed(topic)) === 10, `committed offset ${await committed(topic)}, want 10`)
    await (await write(a, 'second', 20)).commit()
    await b.connect()
    await (await write(b, 'third', 30)).commit()
    let fenced = false
    try {
      await (await write(a, 'fenced', 98)).commit()
    } catch (e) {
      fenced = true
    }
    expect(fenced, 'the older producer of the id could commit')
    await committedOnly(topic, 'first', 'second', 'third')
    expect((await committed(topic)) === 30, `committed offset ${await committed(topic)}, want 30`)
  } finally {
    await a.disconnect()
    await b.disconnect()
  }
}

// The compaction scenario: versions of each key, the last of which is a tombstone for the last keys, and records that
// fill the active segment.
const [KEYS, DEAD, VERSIONS] = [20, 5, 12]
const WRITTEN = KEYS * VERSIONS
const TOTAL = WRITTEN + 150

function compactRecord(i) {
  const [version, k] = [Math.floor(i / KEYS), i % KEYS]
  if (i >= WRITTEN) return { key: Buffer.from('fill'), value: Buffer.from('fill'.repeat(2500)) }
  const dead = version === VERSIONS - 1 && k >= KEYS - DEAD
  return { key: Buffer.from(`key-${k}`), value: dead ? null : Buffer.from(`${version}-${k}-` + 'x'.repeat(10000)) }
}

// compaction reads a compacted topic from the beginning until the cleaner has been there: then the newest record of each
// key is left, be it a tombstone.
async function compaction() {
  const topic = await newTopic('compaction', 1, [
    { name: 'cleanup.policy', value: 'compact' },
    { name: 'segment.bytes', value: '1048576' },
    { name: 'min.cleanable.dirty.ratio', value: '0.01' },
  ])
  await send(topic, Array.from({ length: TOTAL }, (_, i) => ({ ...compactRecord(i), partition: 0 })))
  let old
  await until(() => `the topic is compacted: ${old} records are not the newest of their key`, async () => (old = await older(topic)) === 0)
}

// older reads all, checks it and returns how many records are not the newest of their key.
async function older(topic) {
  const keys = new Set()
  let [last, old] = [-1, 0]
  const check = r => {
    const want = compactRecord(r.at)
    expect(r.at > last && same(r.key, want.key) && same(r.value, want.value), `offset ${r.at} after ${last} is another record`)
    last = r.at
    if (r.at < WRITTEN) {
      keys.add(String(r.key))
      old += r.at < WRITTEN - KEYS ? 1 : 0
    }
  }
  const got = await readUntil(topic, r => r.at === TOTAL - 1)
  got.forEach(check)
  expect(keys.size === KEYS, `${keys.size} keys, want ${KEYS}`)
  return old
}

const scenarios = {
  create,
  'acks-0': produceAndRead('acks-0', { acks: 0 }),
  'acks-1': produceAndRead('acks-1', { acks: 1 }),
  'acks-all': produceAndRead('acks-all', { acks: -1 }),
  idempotent: produceAndRead('idempotent', { idempotent: true }),
  none: produceAndRead('none', { compression: CompressionTypes.None }),
  gzip: produceAndRead('gzip', { compression: CompressionTypes.GZIP }),
  snappy: produceAndRead('snappy', { compression: CompressionTypes.Snappy }),
  lz4: produceAndRead('lz4', { compression: CompressionTypes.LZ4 }),
  zstd: produceAndRead('zstd', { compression: CompressionTypes.ZSTD }),
  content,
  sizes,
  assign,
  group,
  rebalance,
  static: async () => {
    throw new NotAvailable('kafkajs has no static membership')
  },
  time: seekTime,
  'admin-topics': adminTopics,
  'admin-groups': adminGroups,
  commit,
  resume,
  transactions,
  'consumer-protocol': async () => {
    throw new NotAvailable('kafkajs has no consumer protocol of KIP-848')
  },
  compaction,
}

async function main() {
  await zstd.init()
  for (const scenario of names) {
    const line = { scenario, ok: true }
    let timer
    try {
      const limit = new Promise((_, fail) => (timer = setTimeout(() => fail(new Error('nothing within 55 s')), 55000)))
      await Promise.race([scenarios[scenario](), limit])
    } catch (e) {
      line.ok = false
      line.na = e instanceof NotAvailable
      line.detail = line.na ? e.message : `${e.name}: ${e.message} ${(e.stack.split('\n').find(l => l.includes('main.js')) || '').trim()}`
    }
    clearTimeout(timer)
    process.stdout.write(JSON.stringify(line) + '\n')
  }
}

main().then(() => process.exit(0))
