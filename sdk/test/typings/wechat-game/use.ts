// A mini game, under the vendor's own typings.

import { Tautline, wechatHost } from 'tautline/wechat';

const line = new Tautline({ url: 'wss://a.example/connect', host: wechatHost(wx) });
line.call<{ score: number }>('score').then(({ score }) => wx.showToast({ title: String(score) }));
line.close();
