import type { StandardSchemaV1 } from '@standard-schema/spec';
import { AuthorityError } from '#kernel';

interface SchemaIssue {
  message: string;
  expected?: unknown;
  values?: readonly unknown[];
  minimum?: unknown;
  maximum?: unknown;
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
  if (path.length === 0) return new AuthorityError('malformed', `the body: ${describe(issue)}`);
  const member = shorten(path.join('.'));
  return new AuthorityError('malformed', `${member}: ${describe(issue)}`, { member });
}

/** In the words of this API rather than of the validator; its own where it says more. */
function describe(issue: SchemaIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (/received undefined$/.test(issue.message)) return 'is missing';
      return `must be ${articled(String(issue.expected))}`;
    case 'invalid_value':
      return `must be ${(issue.values ?? []).map((value) => JSON.stringify(value)).join(' or ')}`;
    case 'too_small':
      return issue.minimum === 1 && /string|character/.test(issue.message)
        ? 'must not be empty'
        : `must be at least ${String(issue.minimum)}${/string|character/.test(issue.message) ? ' characters long' : ''}`;
    case 'too_big':
      return `must be at most ${String(issue.maximum)}${/string|character/.test(issue.message) ? ' characters long' : ''}`;
    default:
      return issue.message;
  }
}

const articled = (type: string): string => `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;

/** The member's name comes from the caller: enough of it to be found, not enough to fill a log. */
function shorten(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?').slice(0, 100);
}
