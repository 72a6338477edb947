import { BlockList, isIP } from 'node:net';
import { AuthorityError } from './errors.js';

const BITS = { 4: 32, 6: 128 } as const;

/**
 * CIDR blocks (`10.0.0.0/8`, `fd00::/8`) as a list that addresses are checked against. Throws `invalid`, naming `member`,
 * for anything else: a block that is misread would open more than was meant.
 */
export function readNetworks(blocks: readonly string[], member: string): BlockList {
  const list = new BlockList();
  for (const block of blocks) {
    const [, address = '', prefix = ''] = /^([0-9A-Fa-f.:]+)\/([0-9]{1,3})$/.exec(block) ?? [];
    const family = isIP(address);
    if ((family !== 4 && family !== 6) || Number(prefix) > BITS[family]) {
      throw new AuthorityError('invalid', `${member}: "${block}" is not a CIDR block like 10.0.0.0/8`, { member });
    }
    list.addSubnet(address, Number(prefix), family === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
