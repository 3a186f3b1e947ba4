/** The line, made once and outside of components, as the SDK's README says. */

import Taro from '@tarojs/taro';
import { Tautline, frameworkHost } from 'tautline';
import { Phone, optionsFor } from '../../frameworks/phone.ts';

export const phone = new Phone(new Tautline(optionsFor({ framework: () => frameworkHost(Taro) })));
