/** Against the gateway at `URL` with the key `KEY`; `cargo test -p tautline --test serve server_client` starts one. */

import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import { Problem, TautlineServer } from './index.js'

const { URL: url, KEY: key } = process.env

/** A proxy that loses the answers to the first requests. */
async function proxyThatDrops(count) {
  const proxy = createServer((incoming, outgoing) => {
    const options = { method: incoming.method, headers: incoming.headers }
    const forwarded = request(url + incoming.url, options, (answer) => {
      if (count-- > 0) return answer.resume().on('end', () => incoming.socket.destroy())
      outgoing.writeHead(answer.statusCode, answer.headers)
      answer.pipe(outgoing)
    })
    incoming.pipe(forwarded)
  })
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${proxy.address().port}/`, close: () => proxy.close() }
}

const server = new TautlineServer({ url, key })

const proxy = await proxyThatDrops(2)
const behind = new TautlineServer({ url: proxy.url, key })
assert.equal((await behind.publish('room:lost', 1)).offset, 1)
assert.equal((await server.publish('room:lost', 2)).offset, 2, 'the lost answers were not three publications')
proxy.close()

const first = await server.push('u42', { text: 'hello' }, { tags: { lang: 'en' }, idempotencyKey: 'order-17' })
assert.deepEqual(await server.push('u42', { text: 'hello' }, { tags: { lang: 'en' }, idempotencyKey: 'order-17' }), first)

const outcomes = await server.batch([
  { publish: { channel: 'room:7', data: 1 } },
  { push: { user: 'u42', data: 'other', idempotency_key: 'order-17' } },
])
assert.equal(outcomes[0].ok.offset, 1)
assert.equal(outcomes[1].error.code, 'conflict')

const inbox = await server.history('user:u42', { span: { after: { epoch: first.epoch, offset: 0 } }, limit: 1 })
assert.deepEqual([inbox.epoch, inbox.publications[0].data, inbox.more], [first.epoch, { text: 'hello' }, false])
assert.deepEqual((await server.history('room:7')).publications.map(({ data }) => data), [1])

await assert.rejects(server.publish('a b', 1), (error) => {
  assert.ok(error instanceof Problem)
  assert.deepEqual([error.code, error.status, error.field], ['bad_request', 400, '/channel'])
  return true
})
await assert.rejects(new TautlineServer({ url, key: 'another-key-of-some' }).kick({ user: 'u42' }), { code: 'unauthorized' })

assert.deepEqual(await server.sessions({ user: 'u42', limit: 10 }), { sessions: [] })
assert.equal(await server.kick({ user: 'u42' }, 'out'), 0)
assert.equal(await server.disconnect({ label: { name: 'team', value: 'kitchen' } }), 0)
assert.equal(await server.revoke({ user: 'u42' }), 0)
console.log('passed')
