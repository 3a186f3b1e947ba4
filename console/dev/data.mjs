// Made-up sessions, stories and figures, the same at each start. Some of it is hostile: names and payloads that would
// be a script, were they ever HTML.

export const HOSTILE = '<img/src=x/onerror=window.hacked=1>';
const SCRIPT = '"><script>window.hacked=1</script>';

const CAUSES = {
  background: 41_200,
  network_lost: 18_330,
  network_changed: 9_120,
  peer_silent: 4_410,
  server_restart: 2_050,
  connect_timeout: 1_240,
  unknown: 310,
  taken_over: 92,
};
const PLATFORMS = ['wechat', 'alipay', 'browser', 'android', 'ios', 'douyin'];
const SDKS = ['tautline-js/0.1.0', 'tautline-js/0.1.0', 'tautline-rust/0.1.0'];
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const sessionId = (next) =>
  Array.from({ length: 21 }, () => ALPHABET[Math.floor(next() * 64)]).join('') +
  'AQgw'[Math.floor(next() * 4)];

export function makeSessions(count, now) {
  const next = random(7);
  const of = (list) => list[Math.floor(next() * list.length)];
  return Array.from({ length: count }, (_, index) => {
    const isConnected = next() < 0.86;
    const opened = now - Math.floor(next() * 7_200_000);
    return {
      session: sessionId(next),
      ...(index % 9 !== 8 && { user: index === 1 ? HOSTILE : index === 0 ? 'ann' : `u${10_000 + index}` }),
      ...(index % 3 === 0 && {
        labels: { team: index === 0 ? SCRIPT : of(['kitchen', 'floor', '门店-上海']) },
      }),
      address: `203.0.113.${1 + Math.floor(next() * 250)}`,
      platform: of(PLATFORMS),
      sdk: of(SDKS),
      node: 'n1',
      opened_at: opened,
      is_connected: isConnected,
      ...(isConnected ? { connected_at: opened + 1_000 } : { away_at: now - Math.floor(next() * 100_000) }),
      channels: 1 + Math.floor(next() * 5),
    };
  });
}

/** The figures as they are `elapsed` milliseconds after the start. */
export function overview(now, elapsed, sessions, state) {
  const seconds = elapsed / 1_000;
  const wave = (period) => Math.sin((2 * Math.PI * seconds) / period);
  const grown = (base, perSecond, period) =>
    Math.floor(
      base +
        perSecond * seconds +
        (perSecond * period * (1 - Math.cos((2 * Math.PI * seconds) / period))) / 12,
    );
  const of = (counts, perSecond) => {
    const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
    return Object.fromEntries(
      Object.entries(counts).map(([name, n], index) => [
        name,
        grown(n, (perSecond * n) / all, 9 + 4 * index),
      ]),
    );
  };
  const total = sessions.length;
  const connections = Math.floor(total * 0.86 + total * 0.004 * wave(40));
  const offline = [1_000, 5_000, 15_000, 60_000, 300_000, null];
  const shares = [0.31, 0.31, 0.19, 0.12, 0.05, 0.02];
  return {
    at: now,
    nodes: [
      {
        id: 'n1',
        version: '0.1.0',
        uptime_ms: 273_000_000 + elapsed,
        ready: !state.draining,
        draining: state.draining,
        connections,
        sessions: total,
        users_online: Math.floor(connections * 0.89),
        channels: Math.floor(total * 1.21),
        subscriptions: connections * 3,
        cpu_ms: grown(9_000_000, 210, 20),
        rss_bytes: 412_000_000 + Math.floor(8_000_000 * wave(60)),
        open_fds: connections + 42,
        totals: {
          publications: grown(81_240_000, 920, 24),
          deliveries: grown(912_400_000, 12_400, 24),
          calls: grown(6_120_000, 140, 30),
          rate_limited: grown(1_204, 0.2, 20),
          panics: 0,
          hellos: of({ resumed: 74_120, opened: 9_830, challenged: 640 }, 21),
          gaps: of({ retention: 38, new_epoch: 4 }, 0.02),
          drops: of(CAUSES, 22),
          byes: of({ server_restart: 2_050, peer_silent: 1_310, taken_over: 92, token_expired: 61 }, 1),
          offline_ms: offline.map((le, index) => ({
            le,
            n: grown(74_120 * shares[index], 20 * shares[index], 30),
          })),
        },
        queues: {
          appends: { bytes: Math.floor(2_400_000 + 1_800_000 * wave(12)), max: 67_108_864 },
          replies: { bytes: Math.floor(9_400_000 + 900_000 * wave(17)), max: 268_435_456 },
          presence: { bytes: 51_000_000, max: 67_108_864 },
        },
        engine: {
          kind: 'disk',
          healthy: true,
          detail: { segments: 412, synced_bytes: 88_123_456_789, sync_p99_ms: 3.2, oldest: '2026-11-27' },
        },
      },
    ],
    hooks: [
      hook('members', ['auth', 'subscribe'], 'closed', grown(1_240_000, 30, 20), 12, null),
      hook(
        'shop',
        ['call', 'publish'],
        'half_open',
        grown(4_880_000, 110, 20),
        3_102,
        '503 Service Unavailable',
      ),
      hook('risk', ['connect'], 'open', 90_112, 8_812, `connect ${HOSTILE}: timed out after 800 ms`),
    ],
    webhooks: state.webhooks,
    limits: [
      { name: 'connections_max', value: 200_000, used: connections },
      { name: 'sessions_max', value: 250_000, used: total },
      { name: 'log_bytes_max', value: 1_073_741_824, used: 861_000_000 },
      { name: 'append_bytes_max', value: 67_108_864, used: 2_400_000 },
      { name: 'reply_bytes_max', value: 268_435_456, used: 9_400_000 },
      { name: 'hellos_waiting_max', value: 4_096, used: 3 },
      { name: 'message_bytes_max', value: 65_536, used: null },
      { name: 'history_page_max', value: 1_000, used: null },
    ],
    bans: state.bans.length,
    revocations: 17,
  };
}

function hook(name, kinds, breaker, calls, failures, error) {
  const latency = { p50: 4, p99: breaker === 'closed' ? 31 : 640 };
  const more = { in_flight: 3, queued: breaker === 'open' ? 41 : 0, last_error: error };
  return {
    name,
    kinds,
    url_host: `${name}.internal:8443`,
    calls,
    failures,
    breaker,
    latency_ms: latency,
    ...more,
  };
}

/** What one user went through, newest first. */
export function story(now, session, other) {
  const lines = [
    [3, 'shown', {}],
    [
      14,
      'resumed',
      { outcome: 'resumed', offline_ms: 8_123, attempts: 2, platform: 'wechat', sdk: 'tautline-js/0.1.0' },
    ],
    [22, 'drop', { cause: 'background', code: 1006, reason: 'interrupted' }],
    [40, 'call', { method: 'order.place', ms: 42, outcome: 'ok' }],
    [61, 'gap', { channel: 'room:7', reason: 'retention', after: 41, to: 89 }],
    [62, 'resumed', { outcome: 'resumed', offline_ms: 94_000, attempts: 7, platform: 'wechat' }],
    [156, 'drop', { cause: 'network_lost', code: 1006 }],
    [190, 'limit', { limit: 'publish_rate', channel: 'room:7' }],
    [204, 'publish_refused', { channel: HOSTILE, error: 'permission_denied' }],
    [230, 'call', { method: 'order.list', ms: 30_000, error: 'timeout' }],
    [260, 'acked', { channel: 'user:ann', offset: 41 }],
    [262, 'subscribed', { channel: 'room:7' }],
    [270, 'resumed', { outcome: 'resumed', offline_ms: 1_900, attempts: 1 }],
    [272, 'drop', { cause: 'server_restart', code: 4001 }],
    [300, 'call', { method: 'card.list', ms: 8, outcome: 'ok' }],
    [600, 'subscribed', { channel: 'news' }],
    [601, 'login', { kind: 'token', ip: '203.0.113.9' }],
    [602, 'opened', { outcome: 'opened', platform: 'wechat', sdk: 'tautline-js/0.1.0', ip: '203.0.113.9' }],
  ];
  const desk = [
    [90, 'hidden', {}],
    [480, 'opened', { outcome: 'opened', platform: 'browser', sdk: 'tautline-js/0.1.0', ip: '198.51.100.7' }],
  ];
  const all = [...lines.map((it) => [...it, session]), ...desk.map((it) => [...it, other])];
  all.sort((one, next) => one[0] - next[0]);
  return all.map(([ago, kind, detail, its], index) => ({
    id: 1_000 - index,
    at: now - ago * 1_000,
    session: its,
    kind,
    detail,
  }));
}

export function log(now) {
  const texts = [
    { text: 'Your table is ready', table: 7 },
    { text: '订单已发货', order: 'A-20261130-17', items: [1, 2, 3] },
    HOSTILE,
    { html: SCRIPT },
  ];
  return Array.from({ length: 80 }, (_, index) => ({
    offset: index + 1,
    at: now - (80 - index) * 7_300,
    data: texts[index % texts.length],
    ...(index % 3 === 0 && { from: index % 2 ? 'ann' : HOSTILE }),
    ...(index % 10 === 0 && { tags: { lang: 'zh' } }),
  }));
}
