import type { StandardSchemaV1 } from '@standard-schema/spec';
import { AuthorityError } from '#kernel';

interface SchemaIssue {
  message: string;
  path?: ReadonlyArray<PropertyKey | StandardSchemaV1.PathSegment> | undefined;
  code?: string;
  keys?: readonly string[];
}

/** `malformed`, naming the first member at fault: an unknown one, a missing one or one of the wrong type or form. */
export function fromSchemaIssues(issues: readonly SchemaIssue[]): AuthorityError {
  const issue = issues[0];
  if (issue === undefined) return new AuthorityError('malformed', 'the request cannot be read');
  const path = (issue.path ?? []).map((segment) => String(typeof segment === 'object' ? segment.key : segment));
  if (issue.code === 'unrecognized_keys') {
    const member = shorten([...path, issue.keys?.[0] ?? ''].join('.'));
    return new AuthorityError('malformed', `${member}: unknown member`, { member, code: 'unknownMember' });
  }
  if (path.length === 0) return new AuthorityError('malformed', `the body: ${issue.message}`);
  const member = shorten(path.join('.'));
  return new AuthorityError('malformed', `${member}: ${issue.message}`, { member });
}

/** The member's name comes from the caller: enough of it to be found, not enough to fill a log. */
function shorten(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?').slice(0, 100);
}
