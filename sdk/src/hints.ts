/**
 * What a developer can do about a drop: the sentence for its cause, with the address and the place filled in.
 *
 * Beside `messages.ts`, and like it not loaded by phones that do not ask for it.
 */

import type { DropOutput } from './types.js';
import { WORDS_EN, WORDS_ZH } from './messages.js';

/** What is known about the line; all of it makes the hint better. */
export interface HintOptions {
  /** The option `url` of the line. */
  url?: string;
  /** The `platform` of its host: `wechat`, `alipay`, … */
  platform?: string;
  /** @default "en" */
  language?: 'en' | 'zh';
}

/** Where the list of allowed domains is kept. */
const CONSOLES: { [platform: string]: string } = {
  wechat: 'mp.weixin.qq.com',
  alipay: 'open.alipay.com',
  baidu: 'smartprogram.baidu.com',
  douyin: 'developer.open-douyin.com',
  qq: 'q.qq.com',
  kuaishou: 'mp.kuaishou.com',
  jd: 'mp.jd.com',
};

/** One hint for people who write the app; users want `WORDS_EN` or less. */
export function hint(
  drop: Pick<DropOutput, 'cause'>,
  { url = '', platform = '', language = 'en' }: HintOptions = {},
): string {
  const { cause } = drop;
  const zh = language === 'zh';
  const words = zh ? WORDS_ZH : WORDS_EN;
  // A cause may be of a later version.
  const sentence = words[cause] || words.unknown;
  const [origin = ''] = /^wss?:\/\/[^/?#]+/i.exec(url) || [];
  const plain = /^ws:/i.test(origin);

  if (cause === 'domain_not_allowed') {
    const place = CONSOLES[platform];
    const secure = origin.replace(/^ws:/i, 'wss:') || 'wss://…';
    if (zh)
      return `请把 ${secure} 加入小程序的 socket 合法域名${place ? `（${place}）` : ''}，端口必须一致；开发时可在开发者工具里关闭域名校验。`;
    return (
      `Add ${secure} to the socket domains of your mini program${place ? ` (${place})` : ''}, with the same port. ` +
      `While developing you may switch the check off in the developer tools.`
    );
  }
  // What a phone refuses and a simulator does not.
  if (plain && (cause === 'tls_failed' || cause === 'refused' || cause === 'unknown')) {
    if (zh) return `${sentence}地址是 ${origin}：真机和 https 页面只允许 wss://。`;
    return `${sentence} The address is ${origin}: phones, and pages that came by https, take only wss://.`;
  }
  if (origin && (cause === 'dns_failed' || cause === 'connect_timeout' || cause === 'refused')) {
    if (zh) return `${sentence}地址是 ${origin}。`;
    return `${sentence} The address is ${origin}.`;
  }
  return sentence;
}
