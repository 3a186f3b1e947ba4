/** What the page says, in English and in Chinese. */

import type { DropCause, StateName } from 'tautline';

export type Language = 'en' | 'zh';

const en = {
  tagline: 'Two phones, a bad network, nothing lost. Pull the cable.',
  language: '中文',
  phone: 'Phone',
  counter: 'shared counter',
  tap: 'Tap',
  unconfirmed: 'not confirmed yet',
  answer: 'last answer',
  heard: 'last heard',
  cable: 'Pull the cable',
  half_open: 'Half-open',
  slow: 'Slow network',
  hidden: 'Go to background',
  cable_hint: 'no network at all, and the phone knows it',
  half_open_hint: 'the connection is dead and nobody is told',
  slow_hint: '350 to 600 ms each way, some of it twice',
  hidden_hint: 'the owner looks away: cut off after 5 s',
  gateway: 'Gateway',
  gateway_hint: 'channel log',
  rate: 'publications a second, each phone',
  drain: 'Drain',
  drain_hint: 'tells every connection to come back, as before an upgrade',
  lost: 'lost',
  doubled: 'doubled',
  reordered: 'reordered',
  sent: 'sent',
  received: 'received',
  underway: 'under way',
  asked: 'calls asked',
  settled: 'settled',
  twice: 'settled twice',
  latency: 'Latency, by the moment of sending',
  to: 'to',
  shaded: 'shaded: the line was down',
  drops: 'Why did it drop?',
  no_drops: 'Nothing yet. Throw a switch.',
  still_down: 'down for',
  was_down: 'down for',
  caught_up: 'caught up on',
  seconds: 's',
};

type Words = typeof en;

const zh: Words = {
  tagline: '两部手机，糟糕的网络，一条不丢。请拔网线。',
  language: 'English',
  phone: '手机',
  counter: '共享计数',
  tap: '点我',
  unconfirmed: '尚未确认',
  answer: '最近应答',
  heard: '最近收到',
  cable: '拔掉网线',
  half_open: '半开连接',
  slow: '慢速网络',
  hidden: '切到后台',
  cable_hint: '完全没有网络，手机也知道',
  half_open_hint: '连接已死，却没有人被告知',
  slow_hint: '单程 350 至 600 毫秒，偶有重传',
  hidden_hint: '用户离开，5 秒后连接被掐断',
  gateway: '网关',
  gateway_hint: '频道日志',
  rate: '每部手机每秒发布',
  drain: '排空',
  drain_hint: '请每个连接稍后再来，就像升级之前那样',
  lost: '丢失',
  doubled: '重复',
  reordered: '乱序',
  sent: '已发送',
  received: '已收到',
  underway: '途中',
  asked: '发起调用',
  settled: '已了结',
  twice: '了结两次',
  latency: '时延（按发送时刻）',
  to: '到',
  shaded: '阴影：线路已断',
  drops: '为什么断线？',
  no_drops: '还没有。请拨动开关。',
  still_down: '已断',
  was_down: '断了',
  caught_up: '补收',
  seconds: '秒',
};

const STATES: Record<Language, Record<StateName, string>> = {
  en: {
    idle: 'idle',
    connecting: 'connecting',
    online: 'online',
    waiting: 'about to retry',
    offline: 'no network',
    hidden: 'in background',
    stopped: 'stopped',
    closed: 'closed',
  },
  zh: {
    idle: '空闲',
    connecting: '连接中',
    online: '在线',
    waiting: '即将重试',
    offline: '没有网络',
    hidden: '在后台',
    stopped: '已停止',
    closed: '已关闭',
  },
};

/** The SDK says the same to developers, in fewer words; here they are for everybody. */
const CAUSES: Record<Language, Record<DropCause, string>> = {
  en: {
    closed_by_app: 'the app hung up',
    background: 'the app went to the background',
    network_lost: 'the network is gone',
    network_changed: 'the phone moved to another network',
    peer_silent: 'silence: not even a ping was answered',
    connect_timeout: 'no welcome in time',
    server_restart: 'the gateway asked to come back later',
    taken_over: 'the session went on in another place',
    kicked: 'an operator ended the session',
    auth_failed: 'the login was refused, or could not be had',
    domain_not_allowed: 'the mini program does not allow this domain',
    tls_failed: 'no TLS: certificate or clock is wrong',
    dns_failed: 'the host name was not found',
    slots_exhausted: 'the host allows no more sockets',
    refused: 'the connection was turned away',
    protocol_error: 'one end did not understand the other',
    unknown: 'the connection was cut, nobody said why',
  },
  zh: {
    closed_by_app: '应用关闭了连接',
    background: '应用切到了后台',
    network_lost: '网络没有了',
    network_changed: '手机换了网络',
    peer_silent: '毫无回音，连 ping 也没有应答',
    connect_timeout: '迟迟没有等到 welcome',
    server_restart: '网关请大家稍后再来',
    taken_over: '会话在别处继续',
    kicked: '管理员结束了会话',
    auth_failed: '登录被拒，或无法取得',
    domain_not_allowed: '请把该域名加入小程序的 socket 合法域名',
    tls_failed: 'TLS 失败：请检查证书和时钟',
    dns_failed: '找不到域名',
    slots_exhausted: '宿主不允许更多连接',
    refused: '网关或其前面的代理拒绝了连接',
    protocol_error: '一方说了另一方听不懂的话',
    unknown: '连接被切断，没有人说明原因',
  },
};

export class Dictionary {
  constructor(readonly language: Language) {}

  get words(): Words {
    return this.language === 'zh' ? zh : en;
  }

  state(state: StateName): string {
    return STATES[this.language][state];
  }

  cause(cause: DropCause): string {
    return CAUSES[this.language][cause];
  }

  number(value: number): string {
    return value.toLocaleString('en-US');
  }

  /** 4.2 s */
  seconds(ms: number): string {
    return `${(ms / 1000).toFixed(1)} ${this.words.seconds}`;
  }
}
