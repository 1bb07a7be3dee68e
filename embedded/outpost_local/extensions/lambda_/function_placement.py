"""CloudFormation's functions keep their network and their file system: MiniStack drops both."""

from ministack.services import lambda_svc

from outpost_local.extensions.cloudformation.handlers import Properties, after_write


def _place(name: str, props: Properties) -> None:
    config = lambda_svc._functions[name]["config"]
    if "VpcConfig" in props:
        config["VpcConfig"] = lambda_svc._vpc_config_with_id(props["VpcConfig"])
    if "FileSystemConfigs" in props:
        config["FileSystemConfigs"] = props["FileSystemConfigs"]


PATCHES = after_write("AWS::Lambda::Function", _place, "functions lose their network")
