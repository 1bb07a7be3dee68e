"""What AWS would refuse or ignore, found in the templates at synth. `registry.RULES` lists the rules.

Each rule is derived from what AWS publishes for machines (CloudFormation's resource schemas, botocore's service models,
the service authorization reference) or from a page of its documentation, which `Rule.source` names
(docs/adr/0025-template-rules.md). The CDK's own validation runs at every synth as well; no rule repeats it.
"""
