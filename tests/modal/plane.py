"""Modal's control plane, as far as a deployment asks it: it takes what it is told, gives ids, and remembers."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import modal
from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from grpclib.server import Server
from modal_proto import api_grpc, api_pb2


class Plane:
    """What a deployment has created; `names` tells what an id stands for."""

    def __init__(self) -> None:
        self.functions: dict[str, Any] = {}
        """What each function is made of, by its name."""
        self.published: list[str] = []
        self.dockerfile: list[str] = []
        """The lines of all images."""
        self.secrets: dict[str, dict[str, str]] = {}
        self.names: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._answers: dict[str, Callable[[Any], Any]] = {
            "AppGetByDeploymentName": lambda _: api_pb2.AppGetByDeploymentNameResponse(),
            "AppCreate": lambda _: api_pb2.AppCreateResponse(app_id=self._id("ap")),
            "AppHeartbeat": lambda _: Empty(),
            "AppClientDisconnect": lambda _: Empty(),
            "AppPublish": self._publish,
            "EnvironmentGetOrCreate": self._environment,
            "VolumeGetOrCreate": lambda asked: api_pb2.VolumeGetOrCreateResponse(
                volume_id=self._id("vo", asked.deployment_name)
            ),
            "SecretGetOrCreate": self._secret,
            "MountGetOrCreate": lambda _: api_pb2.MountGetOrCreateResponse(mount_id=self._id("mo")),
            "MountBatchedCheckExistence": lambda _: api_pb2.MountBatchedCheckExistenceResponse(),
            "ImageGetOrCreate": self._image,
            "FunctionPrecreate": lambda asked: api_pb2.FunctionPrecreateResponse(
                function_id=self._id("fu", asked.function_name)
            ),
            "FunctionCreate": self._function,
        }

    def answer(self, call: str, asked: Any) -> Any:
        """GRPCError for what no deployment of ours should ask."""
        if call not in self._answers:
            raise GRPCError(Status.UNIMPLEMENTED, call)
        return self._answers[call](asked)

    def _id(self, kind: str, name: str = "") -> str:
        made = f"{kind}-{next(self._numbers)}"
        self.names[made] = name
        return made

    def _environment(self, _: Any) -> Any:
        settings = api_pb2.EnvironmentSettings(image_builder_version="2025.06")
        return api_pb2.EnvironmentGetOrCreateResponse(
            environment_id=self._id("en"), metadata=api_pb2.EnvironmentMetadata(name="main", settings=settings)
        )

    def _secret(self, asked: Any) -> Any:
        made = self._id("st", asked.deployment_name)
        self.secrets[made] = dict(asked.env_dict)
        return api_pb2.SecretGetOrCreateResponse(secret_id=made)

    def _image(self, asked: Any) -> Any:
        self.dockerfile += asked.image.dockerfile_commands
        done = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)
        return api_pb2.ImageGetOrCreateResponse(image_id=self._id("im"), result=done)

    def _function(self, asked: Any) -> Any:
        data = asked.function_data
        if not asked.HasField("function_data"):
            data = api_pb2.FunctionData(ranked_functions=[api_pb2.FunctionData.RankedFunction(function=asked.function)])
        self.functions[self.names[asked.existing_function_id]] = data
        metadata = api_pb2.FunctionHandleMetadata(function_name=self.names[asked.existing_function_id])
        return api_pb2.FunctionCreateResponse(
            function_id=asked.existing_function_id, function_data=data, handle_metadata=metadata
        )

    def _publish(self, asked: Any) -> Any:
        self.published.append(asked.name)
        return api_pb2.AppPublishResponse(url="https://modal.com/apps/nobody/main/deployed/nijika-worker")


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Plane, modal.Client]]:
    """A plane on a free loopback port, and a client that talks to it and to nobody else."""
    plane = Plane()
    methods = {name: _method(plane, name) for name in api_grpc.ModalClientBase.__abstractmethods__}
    server = Server([type("Service", (api_grpc.ModalClientBase,), methods)()])
    await server.start("127.0.0.1", 0)
    sockets = server._server.sockets  # type: ignore[union-attr] # grpclib does not tell the port otherwise
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    try:
        async with modal.Client(url, api_pb2.CLIENT_TYPE_CLIENT, ("ak-nobody", "as-nobody")) as client:
            yield plane, client
    finally:
        server.close()
        await server.wait_closed()


def _method(plane: Plane, name: str) -> Any:
    async def method(_: Any, stream: Any) -> None:
        await stream.send_message(plane.answer(name, await stream.recv_message()))

    return method
