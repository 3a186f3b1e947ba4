// An app for WeChat's mini programs, under the vendor's own typings.

import { Tautline, TautlineError, wechatHost } from 'tautline';
import { Tautline as Only } from 'tautline/wechat';
import WebsocketHeartbeat from 'tautline/heartbeat';
import { page, withLine, type PageLine } from 'tautline/page';
import { debugRing } from 'tautline/debug';
import { hint, WORDS_ZH } from 'tautline/words';

interface Shop {
  methods: {
    bindCard: { data: { card: string }; result: { ok: boolean } };
    logout: { result: number };
  };
  channels: {
    news: { title: string };
    'user:*': { notice: string };
  };
}

const ring = debugRing();
const line = new Tautline<Shop>({
  url: 'wss://a.example/connect',
  host: wechatHost(wx),
  trace: ring.trace,
  auth: () =>
    new Promise((resolve, reject) => wx.login({ success: ({ code }) => resolve({ code, provider: 'wechat' }), fail: reject })),
});

// The map of methods: by inference, and by name.
line.call('bindCard', { card: '1' }).then(({ ok }): boolean => ok);
line.call<'bindCard'>('bindCard', { card: '1' }).then(({ ok }): boolean => ok);
line.call('logout', undefined).then((count): number => count);
// @ts-expect-error the card is a text
line.call('bindCard', { card: 1 });
// @ts-expect-error no such method
line.call('bindCrad', { card: '1' });

// The map of channels: by name, by pattern, and anything else.
line.subscribe('news', { onPublication: ({ data }) => data.title.length });
line.subscribe('user:u42', { onPublication: ({ data }) => data.notice.length });
line.subscribe('else', { onPublication: ({ data }) => data as number });
line.publish('news', { title: 'hello' });
// @ts-expect-error news have a title
line.publish('news', { tilte: 'hello' });
// @ts-expect-error a notice is not a title
line.subscribe('user:u42', { onPublication: ({ data }) => data.title });

line.on('drop', (drop) => wx.showToast({ title: WORDS_ZH[drop.cause] }));
line.on('drop', (drop) => console.log(hint(drop, { url: 'wss://a.example', platform: 'wechat' })));

// Without maps everything goes, with a type for the answer where one is given.
const plain = new Only({ url: 'wss://a.example/connect' });
plain.call<{ n: number }>('anything', { a: 1 }).then(({ n }): number => n);
plain.subscribe('room:7', { onPublication: ({ data }) => console.log(data) });

Page({
  here: undefined as PageLine<Shop> | undefined,
  data: { title: '' },
  onLoad() {
    this.here = page(line, this);
    this.here.subscribe('news', { onPublication: ({ data }) => this.setData({ title: data.title }) }, { while: 'shown' });
  },
});

Page(
  withLine(() => line, {
    data: { titles: [] as string[] },
    onLoad() {
      this.line.subscribe('news', {
        onPublication: ({ data }) => this.setData({ titles: this.data.titles.concat(data.title) }),
        onGap: () => this.reload(1),
      });
    },
    reload(page: number) {
      return page;
    },
  }),
);

// A method that takes no data is called without, and a slip in a code is an error.
line.call('logout').then((count): number => count);
line.call('logout', undefined, { timeout: 5 });
// @ts-expect-error the card is missing
line.call('bindCard');
declare const error: TautlineError<'card_refused'>;
if (error.code === 'timeout' || error.code === 'card_refused') wx.showToast({ title: error.message });
// @ts-expect-error there is no such code
if (error.code === 'timout') wx.showToast({ title: error.message });

WebsocketHeartbeat({ miniprogram: wx, connectSocketParams: { url: 'wss://a.example' }, pingMsg: 'ping' }).then((task) => {
  task.onMessage = ({ data }) => console.log(data);
  task.send({ data: 'hello' });
  (task.socketTask as WechatMiniprogram.SocketTask).onOpen(() => {});
  task.close();
});
