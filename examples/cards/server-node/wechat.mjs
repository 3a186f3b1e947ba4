// Subscribe messages (订阅消息): tells a member by WeChat what the inbox could not, with consent, and at most once a message.

import { Unavailable } from './pool.mjs'

const DEADLINE_MS = 5_000
/** A field `thing` takes 20 characters. */
const THING_MAX = 20
/** The member has refused, or has no consent left; and the token is not valid. */
const REFUSED = 43101
const TOKEN_ERRORS = new Set([40001, 40014, 42001])

export class WeChat {
  #options
  #token = { text: '', until: 0 }

  /** `api` is https://api.weixin.qq.com, or a mock. */
  constructor(options) {
    this.#options = options
  }

  /** `sent`, `refused`, `failed`, or `unknown` where no answer has come: then it may have been sent. */
  async send(openid, about) {
    const message = {
      touser: openid,
      template_id: this.#options.template,
      page: 'pages/messages/messages',
      data: { thing1: { value: [...about].slice(0, THING_MAX).join('') } },
    }
    for (let tried = 1; ; tried++) {
      const token = await this.#freshToken()
      let answer
      try {
        answer = await post(`${this.#options.api}/cgi-bin/message/subscribe/send?access_token=${token}`, message)
      } catch (error) {
        console.error(`subscribe message: ${error.message}`)
        return 'unknown'
      }
      if (answer.errcode === 0) return 'sent'
      if (answer.errcode === REFUSED) return 'refused'
      console.error(`subscribe message: ${answer.errcode} ${answer.errmsg}`)
      // A token that is refused has sent nothing.
      if (!TOKEN_ERRORS.has(answer.errcode) || tried === 2) return 'failed'
      this.#token.until = 0
    }
  }

  async #freshToken() {
    if (Date.now() < this.#token.until) return this.#token.text
    const { appId, appSecret, api } = this.#options
    const request = { grant_type: 'client_credential', appid: appId, secret: appSecret, force_refresh: false }
    const answer = await post(`${api}/cgi-bin/stable_token`, request)
    if (!answer.access_token) throw new Error(`no access token: ${answer.errcode} ${answer.errmsg}`)
    this.#token = { text: answer.access_token, until: Date.now() + (answer.expires_in - 300) * 1_000 }
    return this.#token.text
  }
}

async function post(url, body) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE_MS),
  })
  return answer.json()
}

export class Notices {
  #database
  #gateway
  #wechat
  #template

  constructor(database, gateway, wechat, template) {
    this.#database = database
    this.#gateway = gateway
    this.#wechat = wechat
    this.#template = template
  }

  /** An inbox has waited unread, and its member has no device online. The event comes at least once. */
  async unread({ user: member, epoch, acknowledged, offset }, deadline) {
    const { publications } = await this.#gateway.history(`user:${member}`, { span: { after: { epoch, offset: acknowledged } } })
    const messages = publications.filter(({ data }) => data.type === 'message')
    const message = await this.#claim(member, epoch, offset, messages, deadline)
    if (!message) return
    // It is claimed, and the consent used up: from here on it is not sent a second time, whatever happens.
    const outcome = await this.#wechat.send(member.replace(/^wx-/, ''), message.data.message.about).catch((error) => {
      console.error(error.message)
      return 'failed'
    })
    await this.#database.transaction(Date.now() + DEADLINE_MS, async (query) => {
      await query('UPDATE notices SET outcome = ? WHERE member = ?', [outcome, member])
      // The member has withdrawn the consents.
      if (outcome === 'refused') await query('UPDATE consents SET quota = 0 WHERE member = ? AND template = ?', [member, this.#template])
    })
  }

  /** The newest message that was not claimed before, if there is one and consent for it. */
  #claim(member, epoch, offset, messages, deadline) {
    return this.#database.transaction(deadline, async (query) => {
      const seen = (await query('SELECT epoch, newest FROM notices WHERE member = ?', [member])).rows[0]
      const claimed = seen?.epoch === epoch ? seen.newest : 0
      if (seen && offset <= claimed) return undefined
      const message = messages.filter((it) => it.offset > claimed).pop()
      const consent = 'UPDATE consents SET quota = quota - 1 WHERE member = ? AND template = ? AND quota > 0'
      const isAllowed = message !== undefined && (await query(consent, [member, this.#template])).changed > 0
      // The history may be newer than the event; and what is not sent now, for want of consent, is not sent later.
      const newest = Math.max(offset, message?.offset ?? 0)
      const values = [epoch, newest, isAllowed ? 'claimed' : 'not_sent', Date.now(), member]
      // Of two events at once, one finds a row that has changed, or that is there already.
      if (!seen) await query('INSERT INTO notices (epoch, newest, outcome, noticed_at, member) VALUES (?, ?, ?, ?, ?)', values)
      else {
        const sql = 'UPDATE notices SET epoch = ?, newest = ?, outcome = ?, noticed_at = ? WHERE member = ? AND epoch = ? AND newest = ?'
        const { changed } = await query(sql, [...values, seen.epoch, seen.newest])
        if (!changed) throw new Unavailable('another event of this member is being handled')
      }
      return isAllowed ? message : undefined
    })
  }
}
