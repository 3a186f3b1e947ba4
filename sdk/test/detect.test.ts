/** Where are we? By what is there, the specific before the imitated, and a mini program before a browser. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { detectHost } from '../src/hosts/detect.js';
import { frameworkHost } from '../src/hosts/framework.js';
import { FakeWindow } from './fakes/browser.js';
import { FakeAlipay } from './fakes/alipay.js';
import { FakeWechat } from './fakes/wechat.js';

type Globals = { [name: string]: unknown };

/** Runs `act` with these globals, and with none of the others that hosts are known by. */
function among<T>(globals: Globals, act: () => T): T {
  const here = globalThis as Globals;
  const names = ['tt', 'qq', 'swan', 'my', 'ks', 'jd', 'wx', 'uni', 'WebSocket', 'window'];
  const before = names.map((name) => [name, here[name], name in here] as const);
  for (const name of names) delete here[name];
  Object.assign(here, globals);
  try {
    return act();
  } finally {
    for (const [name, value, was] of before) {
      delete here[name];
      if (was) here[name] = value;
    }
  }
}

const platformAmong = (globals: Globals): string | undefined => among(globals, () => detectHost()?.platform);
const { WebSocket } = new FakeWindow();

test('each host is known by its own name, also where it calls itself wx too', () => {
  const names: Globals = {
    tt: 'douyin',
    qq: 'qq',
    swan: 'baidu',
    my: 'alipay',
    ks: 'kuaishou',
    jd: 'jd',
    wx: 'wechat',
  };
  for (const [name, platform] of Object.entries(names)) {
    assert.equal(platformAmong({ [name]: new FakeWechat(), wx: new FakeWechat() }), platform, name);
  }
});

test('a name without sockets is no host: pages inside WeChat and Alipay are browsers', () => {
  assert.equal(platformAmong({ wx: { miniProgram: {} }, my: { postMessage() {} }, WebSocket }), 'browser');
});

test('a browser global that a mini program leaks does not make it a browser', () => {
  assert.equal(platformAmong({ wx: new FakeWechat(), WebSocket, window: new FakeWindow() }), 'wechat');
});

test('on a page uni-app calls itself wx, and the browser is the host', () => {
  const uni = new FakeWechat();
  assert.equal(platformAmong({ uni, wx: uni, WebSocket }), 'browser');
  assert.equal(platformAmong({ uni, wx: new FakeWechat(), WebSocket }), 'wechat');
});

test('a worker has no window, and nothing at all is no host', () => {
  assert.equal(platformAmong({ WebSocket }), 'browser');
  assert.equal(platformAmong({}), undefined);
  assert.equal(platformAmong({ wx: undefined, WebSocket: undefined, window: undefined }), undefined);
});

test('Taro and uni are asked where they run, and never used where something is underneath', () => {
  const taro = (env: string) => Object.assign(new FakeWechat(), { getEnv: () => env });
  const under = (framework: FakeWechat, globals: Globals) =>
    among(globals, () => frameworkHost(framework).platform);
  assert.equal(under(taro('WEAPP'), { wx: new FakeWechat() }), 'wechat');
  assert.equal(under(taro('ALIPAY'), { my: new FakeAlipay() }), 'alipay');
  assert.equal(under(taro('WEB'), { wx: new FakeWechat(), WebSocket }), 'browser');
  const uni = new FakeWechat();
  assert.equal(under(uni, { uni, wx: uni, WebSocket }), 'browser');
  assert.equal(under(uni, { uni, qq: new FakeWechat() }), 'qq');
  assert.equal(under(uni, { uni }), 'app', "uni-app's own native apps have nothing else");
});
