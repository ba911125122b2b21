/** Acknowledges findings of cdk-nag's AwsSolutions pack that are intended, each with its reason. */
import { Stack, Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

export function acknowledge(construct: IConstruct, id: string, reason: string): void {
  Validations.of(construct).acknowledge({ id, reason });
}

/** Acknowledges every star in `resources` (ARNs) on this construct. */
export function acknowledgeWildcards(construct: IConstruct, resources: readonly string[], reason: string): void {
  const stack = Stack.of(construct);
  for (const resource of resources) {
    const flat = flattened(stack.resolve(resource));
    if (flat.includes('*')) acknowledge(construct, `AwsSolutions-IAM5[Resource::${flat}]`, reason);
  }
}

/** As cdk-nag writes a reference: `<LogicalId.Arn>/key`. */
function flattened(value: unknown): string {
  if (typeof value === 'string') return value.replaceAll('${', '<').replaceAll('}', '>');
  if (typeof value === 'object' && value !== null) {
    const [kind, argument] = Object.entries(value)[0] ?? [];
    if (kind === 'Ref') return `<${String(argument)}>`;
    if (kind === 'Fn::GetAtt' && Array.isArray(argument)) return `<${argument.join('.')}>`;
    if (kind === 'Fn::Join' && Array.isArray(argument)) {
      const [delimiter, parts] = argument as [string, unknown[]];
      return parts.map(flattened).join(delimiter);
    }
    if (kind === 'Fn::Sub' || kind === 'Fn::ImportValue') return flattened(argument);
  }
  return JSON.stringify(value);
}
