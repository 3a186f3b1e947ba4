// A stand-in for the gateway's console: the same addresses and the same headers, over made-up data. For work on the
// pages without a gateway, and for the browser test's lists of 100,000. It checks what a page must send.

import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { HOSTILE, log, makeSessions, overview, story } from './data.mjs';

const POLICY = [
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'",
  "font-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'",
].join('; ');
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const ACCOUNTS = {
  admin: ['read', 'act', 'admin'],
  operator: ['read', 'act'],
  viewer: ['read'],
};
/** Operations of the API that change something: they need a reason. */
const ACTS = /^(publish|push|kick|disconnect|ban|unban|revoke|forget|webhooks\/\w+)$/;

/** `calm`: without hostile names, for pictures. `gateway` (host:port): phones dial through to it. `prefix`: the mount. Every password is `console`. */
export async function startFake({
  dist,
  port = 0,
  sessions: count = 1_000,
  gateway,
  prefix = '/console',
  setup = false,
  calm = false,
}) {
  const began = Date.now();
  const sessions = makeSessions(count, began);
  const signedIn = new Map();
  const state = {
    bans: [
      { user: 'mallory', until: began + 3_600_000, reason: 'spam' },
      { address: '198.51.100.66', reason: HOSTILE },
    ],
    draining: null,
    webhooks: ['active', 'retrying', 'off'].map((it, index) => ({
      name: ['shop', 'warehouse', 'crm'][index],
      state: it,
      offset: 81_240 - index * 400,
      lag: index * 400,
      lag_ms: index * 61_000,
      failures: index * 3,
      expired: 0,
      lost: 0,
      waiting: 0,
      ...(it === 'retrying' && { retry_in_ms: 14_000, last_error: `502 ${HOSTILE}` }),
      ...(it === 'off' && { last_error: '410 Gone' }),
    })),
    log: log(began),
    audit: [],
    failing: false,
  };

  const problem = (status, code, detail, more = {}) => ({
    status,
    body: { status, code, title: code, detail, ...more },
  });
  const ok = (body, status = 200) => ({ status, body });

  function audit(account, act, target, reason, outcome = 'ok') {
    state.audit.unshift({
      id: state.audit.length + 1,
      at: Date.now(),
      name: account.name,
      act,
      target,
      reason,
      outcome,
    });
  }

  function find(query) {
    const label = query.get('label')?.split(/:(.*)/s);
    const is = (name) => query.get(name) === null;
    const matching = (it) =>
      (is('user') || it.user === query.get('user')) &&
      (is('address') || it.address === query.get('address')) &&
      (is('platform') || it.platform === query.get('platform')) &&
      (is('sdk') || it.sdk === query.get('sdk') || it.sdk.split('/')[0] === query.get('sdk')) &&
      (!label || it.labels?.[label[0]] === label[1]) &&
      (is('is_connected') || String(it.is_connected) === query.get('is_connected'));
    const found = sessions.filter(matching);
    const from = is('after') ? 0 : found.findIndex((it) => it.session === query.get('after')) + 1;
    const limit = Number(query.get('limit') ?? 100);
    const page = found.slice(from, from + limit);
    return { sessions: page, ...(from + limit < found.length && { next: page.at(-1).session }) };
  }

  function read(path, query, body) {
    const now = Date.now();
    if (path === 'sessions') return ok(find(query));
    if (path.startsWith('sessions/')) {
      const found = sessions.find((it) => it.session === decodeURIComponent(path.slice(9)));
      return found ? ok(found) : problem(404, 'not_found', 'no such session on this node');
    }
    if (/^users\/.*\/inbox$/.test(path))
      return ok({
        epoch: 'k1',
        sent: 44,
        at: now - 9_000,
        kept: 44,
        delivered: 44,
        acknowledged: 41,
        connections: 2,
      });
    if (path === 'online')
      return ok({ users: body.users.map((user) => ({ user, state: 'online', connections: 2 })) });
    if (path === 'bans') return ok({ bans: state.bans });
    if (path === 'standing') {
      const head = state.log.length;
      const one = { channel: body.channels[0], epoch: 'k3', head, at: now - 4_000, kept: head };
      return ok({ results: [{ ok: { ...one, subscribers: 1_240, members: 38 } }] });
    }
    if (path === 'presence') {
      const members = sessions.slice(0, 38).map((it, index) => ({
        ...(it.user && { user: it.user }),
        session: it.session,
        since: it.opened_at,
        state: index % 5 ? 'online' : 'away',
        ...(index % 4 === 0 && { info: { name: HOSTILE } }),
      }));
      return ok({ channels: [{ channel: body.channels[0], has_presence: true, count: 38, members }] });
    }
    if (path === 'history') {
      const before = body.span?.before?.offset ?? Infinity;
      const all = state.log.filter(({ offset }) => offset < before);
      const page = all.slice(-body.limit);
      return ok({ epoch: 'k3', head: state.log.length, publications: page, more: page.length < all.length });
    }
    return undefined;
  }

  function act(path, body, account, reason) {
    audit(
      account,
      path,
      body.user ?? body.channel ?? body.webhook ?? JSON.stringify(body.target ?? body.subject ?? body),
      reason,
    );
    if (path === 'publish' || path === 'push') {
      state.log.push({ offset: state.log.length + 1, at: Date.now(), data: body.data });
      return ok({ epoch: 'k3', offset: state.log.length, at: Date.now() });
    }
    if (path === 'ban') state.bans.push({ ...body.subject, until: body.until, reason: body.reason });
    if (path === 'unban')
      state.bans = state.bans.filter(
        (it) => it.user !== body.subject.user || it.address !== body.subject.address,
      );
    if (path.startsWith('webhooks/')) {
      const webhook = state.webhooks.find((it) => it.name === body.webhook);
      if (path === 'webhooks/replay') webhook.offset = body.from - 1;
      else webhook.state = path === 'webhooks/enable' ? 'active' : 'off';
      return ok(webhook);
    }
    return ok({ sessions: 1 });
  }

  function answer(method, path, query, body, account, reason) {
    const needs = (scope) =>
      account.scopes.includes(scope) ? undefined : problem(403, 'forbidden', `the scope ${scope} lacks`);
    const wants = () => (reason ? undefined : problem(400, 'bad_request', 'an act needs `X-Reason`'));
    if (path === 'session' && method === 'DELETE') return { status: 204 };
    if (path === 'session') return ok(account);
    if (path === 'overview') return ok(overview(Date.now(), Date.now() - began, sessions, state));
    if (path.startsWith('story/'))
      return ok({
        entries: story(began, sessions[0].session, sessions[3].session)
          .filter((it) => !query.get('session') || it.session === query.get('session'))
          .filter((it) => !query.get('before') || it.id < Number(query.get('before'))),
        kept_since: began - 86_400_000,
        next: null,
      });
    if (path === 'audit') return ok({ entries: state.audit, next: null });
    if (path === 'phone') return needs('act') ?? wants() ?? ok({ url: gateway ? 'connect' : '/nowhere' });
    if (path === 'drain') {
      const refused = needs('admin') ?? wants();
      if (refused) return refused;
      state.draining = { left: 51_000, total: 86_000, deadline_ms: body.spread_ms };
      audit(account, 'drain', 'n1', reason);
      return { status: 202 };
    }
    if (path.startsWith('api/v1/')) {
      const operation = path.slice('api/v1/'.length);
      if (ACTS.test(operation)) {
        const scope = /^(ban|unban|revoke|forget)$/.test(operation) ? 'admin' : 'act';
        return needs(scope) ?? wants() ?? act(operation, body, account, reason);
      }
      const found = read(operation, query, body);
      if (found) return found;
    }
    return problem(404, 'not_found', 'there is no such path');
  }

  async function handle(request, body) {
    const url = new URL(request.url, 'http://fake');
    const path = url.pathname.slice(prefix.length + 1);
    const session = /tautline_console=([\w-]+)/.exec(request.headers.cookie ?? '')?.[1];
    const account = signedIn.get(session);
    if (request.method === 'POST' && path === 'session') {
      const scopes = ACCOUNTS[body.name];
      if (!scopes || body.password !== 'console')
        return problem(401, 'unauthorized', 'wrong name or password');
      const [id, csrf] = [randomUUID(), randomUUID()];
      const made = { name: body.name, scopes, csrf, expires_at: Date.now() + 3_600_000 };
      signedIn.set(id, made);
      return { ...ok(made), cookie: `tautline_console=${id}; HttpOnly; SameSite=Strict; Path=${prefix}` };
    }
    if (!account) return problem(401, 'unauthorized', 'nobody is signed in', setup ? { setup: true } : {});
    if (state.failing) return problem(503, 'unavailable', 'the engine is unavailable');
    if (request.method !== 'GET' && request.headers['x-csrf-token'] !== account.csrf)
      return problem(403, 'forbidden', 'the CSRF token is missing or wrong');
    const reason = decodeURIComponent(request.headers['x-reason'] ?? '');
    if (path === 'session' && request.method === 'DELETE') signedIn.delete(session);
    return answer(request.method, path, url.searchParams, body, account, reason);
  }

  async function asset(path) {
    const name = normalize(path === '' ? 'index.html' : path).replace(/^(\.\.[/\\])+/, '');
    if (name !== 'index.html' && !name.startsWith('assets')) return undefined;
    const bytes = await readFile(join(dist, name)).catch(() => undefined);
    return bytes && { bytes, type: TYPES[extname(name)] ?? 'application/octet-stream' };
  }

  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => {
      const headers = {
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      };
      const path = new URL(request.url, 'http://fake').pathname;
      if (!path.startsWith(`${prefix}/`)) return response.writeHead(404, headers).end();
      const found = request.method === 'GET' && (await asset(path.slice(prefix.length + 1)));
      if (found) return response.writeHead(200, { ...headers, 'content-type': found.type }).end(found.bytes);
      const text = Buffer.concat(chunks).toString();
      const { status, body, cookie } = await handle(request, text ? JSON.parse(text) : {});
      const type = status < 400 ? 'application/json' : 'application/problem+json';
      response.writeHead(status, {
        ...headers,
        'content-type': type,
        ...(cookie && { 'set-cookie': cookie }),
      });
      const said = body === undefined ? '' : JSON.stringify(body);
      response.end(calm ? said.replaceAll(HOSTILE, 'news') : said);
    });
  });
  server.on('upgrade', (request, socket) => {
    if (!gateway) return socket.destroy();
    const [host, gatewayPort] = gateway.split(':');
    const upstream = connect(Number(gatewayPort), host, () => {
      const headers = request.rawHeaders.map((it, index) => (index % 2 ? `${it}\r\n` : `${it}: `)).join('');
      upstream.write(`GET /connect HTTP/1.1\r\n${headers}\r\n`);
      upstream.pipe(socket).pipe(upstream);
    });
    for (const end of [upstream, socket]) end.on('error', () => (upstream.destroy(), socket.destroy()));
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${prefix}/`,
    state,
    sessions,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
