/** Words of acts and of their dialog. */

import type { Words } from './index.ts';

export const acts = {
  'act.ban': ['Ban', '封禁'],
  'act.disconnect': ['Disconnect', '断开'],
  'act.done': ['done', '完成'],
  'act.forget': ['Forget', '遗忘'],
  'act.kick': ['Kick', '踢出'],
  'act.message': ['Message', '消息'],
  'act.message_hint': ['The people behind the clients see it.', '客户端的用户会看到。'],
  'act.publish': ['Publish', '发布'],
  'act.push': ['Push', '推送'],
  'act.reason': ['Reason', '原因'],
  'act.reason_hint': ['Goes to the audit log, with your name.', '与你的名字一起写入审计日志。'],
  'act.recall': ['Recall', '撤回'],
  'act.revoke': ['Revoke logins', '吊销登录'],
  'act.sessions': ['Sessions: {n}.', '涉及 {n} 个会话。'],
  'act.unban': ['Lift ban', '解除封禁'],
  'kick.about': [
    'Ends the sessions of {target}. Their tickets are void; they come back with a new login.',
    '结束 {target} 的会话，票据作废；需要重新登录才能回来。',
  ],
  'disconnect.about': [
    'Closes the connections of {target}. The clients come back by themselves and lose nothing.',
    '关闭 {target} 的连接。客户端会自动回来，不丢消息。',
  ],
  'ban.about': [
    'Keeps {subject} out: sessions end, new ones are refused.',
    '禁止 {subject} 进入：结束会话并拒绝新的连接。',
  ],
  'ban.about_any': [
    'Keeps a user or an address out: sessions end, new ones are refused.',
    '禁止用户或地址进入：结束会话并拒绝新的连接。',
  ],
  'ban.kind': ['What', '类型'],
  'ban.subject': ['User or address', '用户或地址'],
  'ban.until': ['Until', '期限'],
  'ban.hour': ['one hour', '一小时'],
  'ban.day': ['one day', '一天'],
  'ban.week': ['one week', '一周'],
  'ban.forever': ['for good', '永久'],
  'unban.about': ['Lets {subject} in again.', '允许 {subject} 再次进入。'],
  'revoke.about': [
    'Ends all sessions of {user}. Tokens and tickets issued so far are refused.',
    '结束 {user} 的所有会话，此前签发的令牌与票据都会被拒绝。',
  ],
  'revoke.about_any': [
    'Ends the sessions behind the logins; tokens and tickets issued so far are refused.',
    '结束这些登录的会话，此前签发的令牌与票据都会被拒绝。',
  ],
  'revoke.kind': ['Logins', '登录'],
  'revoke.user': ['of a user', '某个用户'],
  'revoke.token': ['by a token (its jti)', '某个令牌（jti）'],
  'revoke.session': ['of a session', '某个会话'],
  'revoke.value': ['Which', '值'],
  'forget.about': [
    'Ends the sessions of {user}, empties the inbox and forgets all positions. There is no way back.',
    '结束 {user} 的会话，清空收件箱并遗忘所有位置。无法撤销。',
  ],
  'push.about': [
    'Appends to the inbox of {user}: every device gets it.',
    '写入 {user} 的收件箱：每台设备都会收到。',
  ],
  'publish.about': [
    'Appends to {channel}: every subscriber gets it.',
    '写入 {channel}：所有订阅者都会收到。',
  ],
  'recall.about': [
    'Takes publication {offset} of {channel} back. Clients hide it; the log keeps both.',
    '撤回 {channel} 的第 {offset} 条。客户端会隐藏它；日志保留两者。',
  ],
  'drain.act_about': [
    'Tells all clients of this node to move, spread over this time. The node takes no new ones. There is no way back but a restart.',
    '让此节点的所有客户端在这段时间内分批迁移，不再接受新的连接。只有重启才能恢复。',
  ],
  'drain.start': ['Drain', '开始排空'],
  'drain.spread': ['Spread over', '分散时间'],
  'webhook.replay': ['Replay', '重放'],
  'webhook.replay_about': [
    'Delivers the events of {name} again, with the same ids. It has taken {offset}.',
    '重新投递 {name} 的事件，ID 不变。目前已接收至 {offset}。',
  ],
  'webhook.from': ['From offset', '起始偏移'],
  'webhook.from_hint': ['Beyond the last one, all are skipped.', '超过最后一个时，跳过全部。'],
  'webhook.enable': ['Switch on', '启用'],
  'webhook.enable_about': ['Delivers the events of {name} at once.', '立即投递 {name} 的事件。'],
  'webhook.disable': ['Switch off', '停用'],
  'webhook.disable_about': [
    'Delivers no more events of {name}; they stay in the log.',
    '不再投递 {name} 的事件；事件保留在日志中。',
  ],
} as const satisfies Words;
