// An app for Douyin, under the vendor's own typings.

import { Tautline, douyinHost } from 'tautline/douyin';

const line = new Tautline({ url: 'wss://a.example/connect', host: douyinHost(tt) });
line.subscribe('news', { onPublication: ({ data }) => console.log(data) });
