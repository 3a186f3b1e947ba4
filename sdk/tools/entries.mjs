// What can be imported, and from which source each is made. The file names follow: `tautline/wechat` is
// `dist/esm/wechat.js` for bundlers and Node, and `dist/mini/wechat.js` for `require`, where the tools of mini programs look too.

/** Entries with a line: one that knows all hosts, and one for each host. */
export const LINES = {
  index: 'index',
  wechat: 'entries/wechat',
  alipay: 'entries/alipay',
  baidu: 'entries/baidu',
  douyin: 'entries/douyin',
  qq: 'entries/qq',
  kuaishou: 'entries/kuaishou',
  jd: 'entries/jd',
  browser: 'entries/browser',
  'react-native': 'entries/react-native',
};

/** What stands beside a line. */
export const BESIDE = {
  heartbeat: 'entries/heartbeat',
  words: 'entries/words',
  page: 'page',
  react: 'react',
  vue: 'vue',
  vue2: 'vue2',
  debug: 'debug',
  storage: 'storage',
  msgpack: 'entries/msgpack',
  json: 'json',
  'with-state': 'with-state',
  recall: 'recall',
};

/** Parts that do not ship alone: tests run the vectors and the traces on them, in the form in which they ship. */
export const PARTS = {
  session: 'session',
  persistence: 'persistence',
};

/** Packages of the app's that an entry uses and does not contain. */
export const EXTERNAL = ['react', 'vue'];

/** How an entry's files begin. */
export function fileOf(entry) {
  return entry === 'index' ? 'tautline' : `tautline.${entry}`;
}
