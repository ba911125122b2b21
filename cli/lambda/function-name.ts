/** A function's name, or its full or partial ARN, as Lambda takes them. */
import { UsageError } from '../exit-codes.ts';

export interface FunctionName {
  /** As it was given. */
  readonly name: string;
  /** Undefined if unknown. */
  readonly region: string | undefined;
}

/** https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html */
const NAME =
  /^(arn:aws[a-zA-Z-]*:lambda:(?<region>[a-z]{2}(-[a-z]+)+-\d):)?(\d{12}:)?(function:)?[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?$/;
const REGION = /^[a-z]{2}(-[a-z]+)+-\d$/;

/** Throws a UsageError if `name` names no function, or one in another region than `region`. */
export function functionName(name: string, region: string | undefined): FunctionName {
  const match = NAME.exec(name);
  if (match === null || name.length > 170) {
    throw new UsageError(
      `--lambda must be the name or the ARN of the restore function (the stack prints it as RestoreFunctionName), not ${name}`,
    );
  }
  if (region !== undefined && !REGION.test(region)) {
    throw new UsageError(`--region must be a region such as eu-central-1, not ${region}`);
  }
  const own = match.groups?.['region'];
  if (own !== undefined && region !== undefined && own !== region) {
    throw new UsageError(`--region is ${region}, but the ARN in --lambda lies in ${own}; leave --region out`);
  }
  return { name, region: own ?? region };
}
