import type { OperationName } from '#store';
import { grantRoles } from './grant-roles.js';
import type { Operation } from './operation.js';

/** Every operation that can be proposed. */
const OPERATIONS: Partial<Readonly<Record<OperationName, Operation>>> = {
  'role.grant': grantRoles,
};

/** undefined: this release does not know how to do it, whatever a row says. */
export function findOperation(name: OperationName): Operation | undefined {
  return OPERATIONS[name];
}
