/** The page's title. */

export default { navigationBarTitleText: 'Tautline on Taro' };
