/** The line, made once and outside of components, as the SDK's README says; or over uni-app's own sockets. */

import { Tautline, frameworkHost, wechatHost } from 'tautline';
import { Phone, optionsFor } from '../../frameworks/phone.ts';

const hosts = {
  framework: () => frameworkHost(uni),
  // By hand, and each function by its name: the whole object that `uni` stands for has none when built for the browser.
  wrapper: () =>
    wechatHost({
      connectSocket: (options) => uni.connectSocket(options),
      onAppShow: (listener) => uni.onAppShow(listener),
      onAppHide: (listener) => uni.onAppHide(listener),
    }),
};

export const phone = new Phone(new Tautline(optionsFor(hosts)));
