// A mock of the interfaces of WeChat that the shop uses: codes of `wx.login`, access tokens, subscribe messages. Any code is
// taken once: `ann.1` and `ann.2` are the user `ann`.
//
// `GET /mock/sent` lists what was sent; `POST /mock/next {"errcode":43101}` is the answer to the next message, `{"cut":true}`
// sends it and cuts the connection.

import { createServer } from 'node:http'

const APP_ID = process.env.WECHAT_APP_ID ?? 'wx0123456789abcdef'
const APP_SECRET = process.env.WECHAT_APP_SECRET ?? 'app-secret-of-the-mock'
const TOKEN = 'access-token-of-the-mock'
const used = new Set()
const sent = []
let next = []

const routes = {
  'GET /sns/jscode2session': ({ query }) => {
    const code = query.get('js_code') ?? ''
    if (query.get('appid') !== APP_ID) return { errcode: 40013, errmsg: 'invalid appid' }
    if (query.get('secret') !== APP_SECRET) return { errcode: 40125, errmsg: 'invalid appsecret' }
    if (!code.includes('.') || used.has(code)) return { errcode: 40163, errmsg: 'code been used' }
    used.add(code)
    return { openid: code.split('.')[0], session_key: 'c2Vzc2lvbi1rZXktb2YtbW9jaw==' }
  },
  'POST /cgi-bin/stable_token': ({ body }) =>
    body.appid === APP_ID && body.secret === APP_SECRET
      ? { access_token: TOKEN, expires_in: 7200 }
      : { errcode: 40125, errmsg: 'invalid appsecret' },
  'POST /cgi-bin/message/subscribe/send': ({ query, body }) => {
    if (query.get('access_token') !== TOKEN) return { errcode: 40001, errmsg: 'invalid credential' }
    const value = body.data?.thing1?.value ?? ''
    if (!body.template_id) return { errcode: 40037, errmsg: 'invalid template_id' }
    if (!value || [...value].length > 20) return { errcode: 47003, errmsg: 'argument invalid' }
    const answer = next.shift() ?? { errcode: 0, errmsg: 'ok', msgid: sent.length + 1 }
    if (!answer.errcode) sent.push(body)
    return answer
  },
  'GET /mock/sent': () => sent,
  'POST /mock/next': ({ body }) => {
    next.push(body)
    return {}
  },
}

const server = createServer(async (request, response) => {
  const { pathname, searchParams: query } = new URL(request.url, 'http://mock')
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  const route = routes[`${request.method} ${pathname}`]
  const answer = route ? route({ query, body: text ? JSON.parse(text) : {} }) : { errcode: 404, errmsg: 'no such interface' }
  if (answer.cut) return request.socket.destroy()
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
})
server.listen(Number(process.env.PORT ?? 8022), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
