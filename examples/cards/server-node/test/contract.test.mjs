// What the gateway and the pages rely on, of any back end of the shop.

import assert from 'node:assert/strict'
import { after, test as testWith } from 'node:test'
import { startShop, until } from './shop.mjs'

const shop = await startShop({ after }, { PAGE: import.meta.dirname, SOCKET_URL: 'ws://gateway.example/connect' })
const test = (name, run) => testWith(name, { timeout: 60_000 }, run)
let last = 10_000_000
/** A number that no card has yet. */
const fresh = () => String(++last)

const login = async (name) => (await shop.fetch('/login', { method: 'POST', body: JSON.stringify({ name }) })).json()
const connect = (token) => shop.hook({ kind: 'connect', login: { token } })

test('token of a login connects as its member', async () => {
  const { member, token } = await login('Ann')
  assert.equal(member, 'wx-ann')
  const { result } = await connect(token)
  assert.equal(result.user, 'wx-ann')
  assert.ok(result.expires_at > Date.now())
  for (const forged of [token.replace('ann', 'bob'), `${token}x`, `${token}.x`, 'wx-ann', '', token.slice(0, -1)])
    assert.equal((await connect(forged)).error.code, 'unauthorized', forged)
})

test('login without a name is a bad request', async () => {
  for (const body of ['null', '{}', '[]', '{"name":7}', '{"name":""}', '{'])
    assert.equal((await shop.fetch('/login', { method: 'POST', body })).status, 400, body)
})

test('text that no column takes is refused', async () => {
  const code = async (method, data, user = 'wx-ann14') => (await shop.call(user, method, data)).error?.code
  const number = fresh()
  for (const text of ['x'.repeat(65), 'a\0b']) {
    assert.equal(await code('order.place', { card: text, item: 'tea' }), 'bad_request')
    assert.equal(await code('order.advance', { order: text, step: 1 }), 'bad_request')
    assert.equal(await code('consent.give', { templates: [text] }), 'bad_request')
    assert.equal(await code('card.bind', { number }, text), 'bad_request')
  }
  for (const key of ['x'.repeat(129), 'a\0b']) assert.equal(await code('card.bind', { key, number }), 'bad_request')
  assert.equal(await code('card.bind', { key: 'x'.repeat(128), number }), undefined)
})

test('keys that differ in case are two requests', async () => {
  const bind = (key) => shop.call('wx-ann15', 'card.bind', { key, number: fresh() })
  const [small, large] = [await bind('key'), await bind('KEY')]
  assert.notEqual(small.result.data.number, large.result.data.number)
})

test('request with a wrong signature is refused unread', async () => {
  const secret = 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='
  assert.equal((await shop.post('/hooks', { kind: 'call' }, { secret })).status, 401)
  assert.equal((await shop.post('/events', { type: 'inbox.unread' }, { secret })).status, 401)
})

test('member subscribes to its own orders only', async () => {
  const subscribe = (user, channel) => shop.hook({ kind: 'subscribe', user, channel })
  assert.ok((await subscribe('wx-ann', 'orders:wx-ann')).result)
  for (const [user, channel] of [['wx-ann', 'orders:wx-bob'], ['wx-ann', 'cards:wx-ann'], [null, 'orders:null']])
    assert.equal((await subscribe(user, channel)).error.code, 'permission_denied')
})

test('guest and unknown method are refused by code', async () => {
  assert.equal((await shop.call(null, 'card.list')).error.code, 'unauthorized')
  assert.equal((await shop.call('wx-ann3', 'card.burn')).error.code, 'not_found')
  assert.equal((await shop.call('wx-ann3', 'constructor')).error.code, 'not_found')
  for (const data of [undefined, null, {}, { number: 7 }, { number: '12' }, { number: '1234567x' }, { number: 12345678 }, { number: ['12345678'] }, []])
    assert.equal((await shop.call('wx-ann3', 'card.bind', data)).error.code, 'bad_number', JSON.stringify(data))
})

test('repeated bind has the same answer and one publication', async () => {
  const number = fresh()
  const bind = (key) => shop.call('wx-ann4', 'card.bind', { key, number })
  const first = await bind('k1')
  assert.equal(first.result.data.number, number)
  assert.deepEqual(await bind('k1'), first)
  assert.equal((await bind('k2')).error.code, 'card_taken')
  assert.equal((await shop.call('wx-bob4', 'card.bind', { key: 'k1', number })).error.code, 'card_taken')
  await until(() => shop.gateway.log('user:wx-ann4').length, 'the card is published')
  assert.deepEqual(shop.gateway.log('user:wx-ann4'), [{ type: 'card.bound', card: first.result.data }])
  assert.deepEqual((await shop.call('wx-ann4', 'card.list')).result.data, [first.result.data])
  assert.deepEqual((await shop.call('wx-bob4', 'card.list')).result.data, [])
})

test('call without key of the app is known by the id', async () => {
  const number = fresh()
  const question = { kind: 'call', id: 's1:7', user: 'wx-ann5', method: 'card.bind', data: { number } }
  const first = await shop.hook(question)
  assert.deepEqual(await shop.hook(question), first)
})

test('many binds at once bind each number once', async () => {
  const numbers = Array.from({ length: 5 }, fresh)
  const one = (index) => shop.call('wx-ann6', 'card.bind', { key: `k${index % 5}`, number: numbers[index % 5] })
  const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => one(index)))
  assert.equal(new Set(answers.map((answer) => JSON.stringify(answer))).size, 5)
  const contested = fresh()
  const races = await Promise.all(Array.from({ length: 20 }, (_, index) =>
    shop.call(`wx-m6x${index}`, 'card.bind', { key: 'k', number: contested })))
  assert.equal(races.filter(({ result }) => result).length, 1)
  assert.equal(races.filter(({ error }) => error?.code === 'card_taken').length, 19)
})

test('order goes through its steps, each told once', async () => {
  const number = fresh()
  await shop.call('wx-ann7', 'card.bind', { key: 'b', number })
  assert.equal((await shop.call('wx-bob7', 'order.place', { card: number, item: 'tea' })).error.code, 'no_card')
  const { id } = (await shop.call('wx-ann7', 'order.place', { key: 'p', card: number, item: 'tea' })).result.data
  const advance = (step, key, user = 'wx-ann7') => shop.call(user, 'order.advance', { key, order: id, step })
  assert.equal((await advance(1, 'x', 'wx-bob7')).error.code, 'not_found')
  assert.equal((await advance(2, 'a')).error.code, 'conflict')
  for (const step of [1, 2, 3]) assert.equal((await advance(step, `a${step}`)).result.data.step, step)
  assert.equal((await advance(2, 'a2')).result.data.step, 2)
  assert.equal((await advance(4, 'a4')).error.code, 'conflict')
  await until(() => shop.gateway.log('orders:wx-ann7').length === 4 && shop.gateway.log('user:wx-ann7').length === 2, 'all is published')
  assert.deepEqual(shop.gateway.log('orders:wx-ann7').map(({ step }) => step), [0, 1, 2, 3])
  const { message } = shop.gateway.log('user:wx-ann7')[1]
  assert.deepEqual((await shop.call('wx-ann7', 'message.list')).result.data, [message])
  assert.equal((await shop.call('wx-ann7', 'order.list')).result.data[0].step, 3)
})

test('gateway that fails and loses answers is told all once', async () => {
  shop.gateway.faults.push('refuse', 'lose', 'refuse', 'refuse', 'refuse', 'lose', 'lose', 'lose', 'refuse')
  const numbers = Array.from({ length: 12 }, fresh)
  for (const number of numbers) await shop.call('wx-ann8', 'card.bind', { key: number, number })
  await until(() => shop.gateway.log('user:wx-ann8').length === numbers.length, 'all is published')
  assert.deepEqual(shop.gateway.log('user:wx-ann8').map(({ card }) => card.number), numbers)
})

test('killed server keeps cards and publishes what was left', async () => {
  const number = fresh()
  shop.gateway.faults.push(...Array.from({ length: 100 }, () => 'refuse'))
  const first = await shop.call('wx-ann9', 'card.bind', { key: 'k', number })
  await shop.crash()
  assert.deepEqual(await shop.call('wx-ann9', 'card.bind', { key: 'k', number }), first)
  shop.gateway.faults.length = 0
  await until(() => shop.gateway.log('user:wx-ann9').length, 'the card is published')
  assert.equal(shop.gateway.log('user:wx-ann9').length, 1)
})

const CONSENT = { templates: ['order-shipped'] }

/** A member whose inbox holds a message and, before it, a card. */
async function withMessage(member) {
  shop.sent.length = 0
  const number = fresh()
  await shop.call(member, 'card.bind', { key: 'b', number })
  const { id } = (await shop.call(member, 'order.place', { key: 'p', card: number, item: 'a-tin-of-very-green-tea' })).result.data
  for (const step of [1, 2]) await shop.call(member, 'order.advance', { key: `a${step}`, order: id, step })
  const log = shop.gateway.log(`user:${member}`)
  await until(() => log.length === 2, 'the message is published')
  return { user: member, node: 'n1', unread: 2, since: 1, epoch: 'e1', acknowledged: 0, offset: 2 }
}

test('unread message is told once and only with consent', async () => {
  const event = await withMessage('wx-ann10')
  assert.equal((await shop.unread(event)).status, 200)
  assert.equal(shop.sent.length, 0, 'nobody has consented')
  const other = await withMessage('wx-bob10')
  await shop.call('wx-bob10', 'consent.give', { key: 'c', ...CONSENT })
  await Promise.all([shop.unread(other), shop.unread(other)])
  assert.equal((await shop.unread(other)).status, 200)
  assert.deepEqual(shop.sent, [{
    touser: 'bob10',
    template_id: 'order-shipped',
    page: 'pages/messages/messages',
    data: { thing1: { value: 'a-tin-of-very-green-' } },
  }])
  // A card is no message; and one tap was one message.
  shop.gateway.log('user:wx-bob10').push({ type: 'card.bound', card: {} }, { type: 'message', message: { about: 'x' } })
  await shop.unread({ ...other, acknowledged: 2, offset: 4 })
  assert.equal(shop.sent.length, 1)
})

test('send without answer is not repeated', async () => {
  const event = await withMessage('wx-ann11')
  for (const key of ['c1', 'c2', 'c2']) await shop.call('wx-ann11', 'consent.give', { key, ...CONSENT })
  shop.answers.push(undefined)
  await shop.unread(event)
  await shop.crash()
  await shop.unread(event)
  assert.equal(shop.sent.length, 1)
  shop.gateway.log('user:wx-ann11').push({ type: 'message', message: { about: 'tea' } })
  await shop.unread({ ...event, offset: 3 })
  assert.deepEqual(shop.sent.map(({ data }) => data.thing1.value), ['a-tin-of-very-green-', 'tea'])
})

test('event that comes late repeats no message', async () => {
  const event = await withMessage('wx-cat')
  for (const key of ['c1', 'c2', 'c3', 'c4']) await shop.call('wx-cat', 'consent.give', { key, ...CONSENT })
  await shop.unread(event)
  shop.gateway.log('user:wx-cat').push({ type: 'message', message: { about: 'tea' } })
  for (const offset of [3, 2, 3]) await shop.unread({ ...event, offset })
  assert.equal(shop.sent.length, 2)
})

test('event behind the history repeats no message', async () => {
  for (const [member, consents, sent] of [['wx-dan', ['c1', 'c2', 'c3'], 1], ['wx-eve', [], 0]]) {
    const event = await withMessage(member)
    for (const key of consents) await shop.call(member, 'consent.give', { key, ...CONSENT })
    shop.gateway.log(`user:${member}`).push({ type: 'message', message: { about: 'tea' } })
    await shop.unread(event)
    await shop.call(member, 'consent.give', { key: 'late', ...CONSENT })
    await shop.unread({ ...event, offset: 3 })
    assert.deepEqual(shop.sent.map(({ data }) => data.thing1.value), Array(sent).fill('tea'))
  }
})

test('member who refuses has no consent left', async () => {
  const event = await withMessage('wx-ann12')
  for (const key of ['c1', 'c2', 'c3']) await shop.call('wx-ann12', 'consent.give', { key, ...CONSENT })
  shop.answers.push({ errcode: 43101, errmsg: 'user refuse to accept the msg' })
  await shop.unread(event)
  shop.gateway.log('user:wx-ann12').push({ type: 'message', message: { about: 'tea' } })
  await shop.unread({ ...event, offset: 3 })
  assert.equal(shop.sent.length, 1)
})

test('access token that has expired is fetched anew', async () => {
  const event = await withMessage('wx-ann13')
  await shop.call('wx-ann13', 'consent.give', { key: 'c', ...CONSENT })
  shop.answers.push({ errcode: 42001, errmsg: 'access_token expired' })
  await shop.unread(event)
  assert.equal(shop.sent.length, 2, 'a refused token has sent nothing')
})

test('page and settings are served, and nothing else', async () => {
  assert.deepEqual(await (await shop.fetch('/config.json')).json(), { socket: 'ws://gateway.example/connect', template: 'order-shipped' })
  assert.equal((await shop.fetch('/shop.mjs')).status, 200)
  for (const path of ['/..%2fserver.mjs', '/%2e%2e/server.mjs', '/../server.mjs', '/none.js']) assert.equal((await shop.fetch(path)).status, 404, path)
  assert.ok([404, 405].includes((await shop.fetch('/hooks')).status))
})
