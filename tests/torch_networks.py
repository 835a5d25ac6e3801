"""Modules of PyTorch: one for each kind that has layers here, and networks. Each is a function of
torch, with the shape of its input without the batch, and what lies where: "images" have channels in
front, of "steps" the batch is the second axis, "words" are integers."""

IMAGE, LINE, VOLUME = (4, 9, 8), (4, 10), (2, 5, 6, 4)
# name: the module, the shape, and what the input is
MODULES = {
    "Linear": (lambda nn: nn.Linear(5, 3), (5,), ""),
    "Linear without bias": (lambda nn: nn.Linear(5, 3, bias=False), (4, 5), ""),
    **{
        name: (lambda nn, name=name: getattr(nn, name)(), (5,), "")
        for name in (
            *("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Sigmoid", "Tanh", "Softsign", "LogSigmoid"),
            *("Hardsigmoid", "Hardswish", "Tanhshrink", "GELU", "CELU", "ELU", "LeakyReLU"),
            *("Softplus", "Hardtanh", "Softshrink", "Hardshrink", "PReLU", "Identity", "Dropout"),
            *("AlphaDropout",),
        )
    },
    "GELU by tanh": (lambda nn: nn.GELU("tanh"), (5,), ""),
    "LeakyReLU 0.3": (lambda nn: nn.LeakyReLU(0.3), (5,), ""),
    "ELU 0.4": (lambda nn: nn.ELU(0.4), (5,), ""),
    "Softplus 2": (lambda nn: nn.Softplus(2), (5,), ""),
    "Hardtanh from 0": (lambda nn: nn.Hardtanh(0, 2), (5,), ""),
    "Threshold": (lambda nn: nn.Threshold(0.2, 3.0), (5,), ""),
    "Softmax": (lambda nn: nn.Softmax(-1), (4, 5), ""),
    "Softmax along steps": (lambda nn: nn.Softmax(1), (4, 5), ""),
    "Softmin": (lambda nn: nn.Softmin(-1), (5,), ""),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(1), (5,), ""),
    "Softmax2d": (lambda nn: nn.Softmax2d(), IMAGE, "images"),
    "GLU": (lambda nn: nn.GLU(), (6,), ""),
    "GLU of channels": (lambda nn: nn.Sequential(nn.Conv2d(4, 4, 1), nn.GLU(1)), IMAGE, "images"),
    "PReLU by channel": (lambda nn: nn.PReLU(4), IMAGE, "images"),
    "Dropout2d": (lambda nn: nn.Dropout2d(), IMAGE, "images"),
    "Conv1d": (lambda nn: nn.Conv1d(4, 3, 3, stride=2, padding=1), LINE, "images"),
    "Conv1d with gaps": (lambda nn: nn.Conv1d(4, 6, 2, dilation=3, groups=2), LINE, "images"),
    "Conv2d": (lambda nn: nn.Conv2d(4, 3, 3), IMAGE, "images"),
    "Conv2d same": (lambda nn: nn.Conv2d(4, 3, (2, 3), padding="same"), IMAGE, "images"),
    "Conv2d strides": (lambda nn: nn.Conv2d(4, 3, 3, 2, 1, bias=False), IMAGE, "images"),
    "Conv2d odd": (lambda nn: nn.Conv2d(4, 3, (3, 2), (2, 1), (2, 1)), IMAGE, "images"),
    "Conv2d groups": (lambda nn: nn.Conv2d(4, 6, 3, padding=1, groups=2), IMAGE, "images"),
    "Conv2d depthwise": (lambda nn: nn.Conv2d(4, 8, 3, padding=1, groups=4), IMAGE, "images"),
    "Conv3d": (lambda nn: nn.Conv3d(2, 3, 2, padding=1), VOLUME, "images"),
    "ConvTranspose1d": (lambda nn: nn.ConvTranspose1d(4, 3, 3, 2), LINE, "images"),
    "ConvTranspose2d": (
        lambda nn: nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1),
        IMAGE,
        "images",
    ),
    "ConvTranspose3d": (lambda nn: nn.ConvTranspose3d(2, 3, 2, 2), VOLUME, "images"),
    "MaxPool1d": (lambda nn: nn.MaxPool1d(2), LINE, "images"),
    "MaxPool2d": (lambda nn: nn.MaxPool2d(2), IMAGE, "images"),
    "MaxPool2d padded": (lambda nn: nn.MaxPool2d(3, 2, 1), IMAGE, "images"),
    "MaxPool2d up": (lambda nn: nn.MaxPool2d((2, 3), 2, ceil_mode=True), IMAGE, "images"),
    "MaxPool2d behind ReLU": (
        lambda nn: nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, 2, 1)),
        IMAGE,
        "images",
    ),
    "MaxPool3d": (lambda nn: nn.MaxPool3d(2, 1), VOLUME, "images"),
    "AvgPool1d": (lambda nn: nn.AvgPool1d(3, 2, 1), LINE, "images"),
    "AvgPool2d": (lambda nn: nn.AvgPool2d(2), IMAGE, "images"),
    "AvgPool2d padded": (lambda nn: nn.AvgPool2d(3, 2, 1), IMAGE, "images"),
    "AvgPool2d not counted": (
        lambda nn: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        IMAGE,
        "images",
    ),
    "AvgPool2d up": (lambda nn: nn.AvgPool2d((2, 3), 2, ceil_mode=True), IMAGE, "images"),
    "AvgPool2d up and padded": (
        lambda nn: nn.AvgPool2d(4, 3, 1, ceil_mode=True, count_include_pad=False),
        IMAGE,
        "images",
    ),
    "AvgPool3d": (lambda nn: nn.AvgPool3d(2), VOLUME, "images"),
    "AdaptiveAvgPool1d": (lambda nn: nn.AdaptiveAvgPool1d(3), LINE, "images"),
    "AdaptiveAvgPool2d": (lambda nn: nn.AdaptiveAvgPool2d((4, 3)), IMAGE, "images"),
    "AdaptiveAvgPool2d to 1": (lambda nn: nn.AdaptiveAvgPool2d(1), IMAGE, "images"),
    "AdaptiveMaxPool2d": (lambda nn: nn.AdaptiveMaxPool2d((None, 3)), IMAGE, "images"),
    "ZeroPad2d": (lambda nn: nn.ZeroPad2d((1, 2, 0, 3)), IMAGE, "images"),
    "ConstantPad1d": (lambda nn: nn.ConstantPad1d(2, 0.0), LINE, "images"),
    "Upsample": (lambda nn: nn.Upsample(scale_factor=2), IMAGE, "images"),
    "Upsample bilinear": (
        lambda nn: nn.Upsample(scale_factor=2, mode="bilinear"),
        IMAGE,
        "images",
    ),
    "BatchNorm1d": (lambda nn: nn.BatchNorm1d(5, momentum=0.2, eps=1e-3), (5,), ""),
    "BatchNorm1d of lines": (lambda nn: nn.BatchNorm1d(4, affine=False), LINE, "images"),
    "BatchNorm2d": (lambda nn: nn.BatchNorm2d(4), IMAGE, "images"),
    "GroupNorm": (lambda nn: nn.GroupNorm(2, 4, 1e-3), IMAGE, "images"),
    "InstanceNorm2d": (lambda nn: nn.InstanceNorm2d(4, affine=True), IMAGE, "images"),
    "LayerNorm": (lambda nn: nn.LayerNorm(5, 1e-3), (4, 5), ""),
    "LayerNorm of images": (
        lambda nn: nn.Sequential(nn.Conv2d(4, 2, 2), nn.LayerNorm((2, 8, 7))),
        IMAGE,
        "images",
    ),
    "LayerNorm without weights": (
        lambda nn: nn.LayerNorm(5, elementwise_affine=False),
        (4, 5),
        "",
    ),
    "RMSNorm": (lambda nn: nn.RMSNorm(5), (4, 5), ""),
    "Embedding": (lambda nn: nn.Embedding(7, 4), (6,), "words"),
    "Flatten": (lambda nn: nn.Flatten(), (4, 5), ""),
    "Unflatten": (lambda nn: nn.Unflatten(1, (2, 3)), (6,), ""),
    "LSTM": (lambda nn: nn.LSTM(5, 3, batch_first=True), (4, 5), ""),
    "LSTM stacked": (
        lambda nn: nn.LSTM(5, 3, 2, batch_first=True, bidirectional=True, dropout=0.1),
        (4, 5),
        "",
    ),
    "LSTM steps first": (lambda nn: nn.LSTM(5, 3, bias=False), (4, 5), "steps"),
    "GRU": (lambda nn: nn.GRU(5, 3, batch_first=True), (4, 5), ""),
    "GRU stacked": (
        lambda nn: nn.GRU(5, 3, 2, batch_first=True, bidirectional=True),
        (4, 5),
        "",
    ),
    "RNN": (lambda nn: nn.RNN(5, 3, batch_first=True), (4, 5), ""),
    "RNN ReLU": (lambda nn: nn.RNN(5, 3, nonlinearity="relu", batch_first=True), (4, 5), ""),
    "TransformerEncoderLayer": (
        lambda nn: nn.TransformerEncoderLayer(8, 2, 12, batch_first=True),
        (4, 8),
        "",
    ),
    "TransformerEncoderLayer pre-norm": (
        lambda nn: nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", norm_first=True),
        (4, 8),
        "steps",
    ),
    "TransformerEncoder": (
        lambda nn: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 12, batch_first=True),
            2,
            nn.LayerNorm(8),
            enable_nested_tensor=False,
        ),
        (4, 8),
        "",
    ),
}


def forwards(nn, parts, forward):
    """A module with these parts and this `forward`."""

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            for name, part in parts.items():
                setattr(self, name, part)

    Own.forward = forward
    return Own()


def perceptron(nn):
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)
    )


def le_net(nn):
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3), nn.Tanh()),
        *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6 * 2 * 2, 8), nn.ReLU(), nn.Linear(8, 3)),
    )


def normalized_features(nn):
    """Batch normalization of what was flattened, whose weights are turned too."""
    return nn.Sequential(
        *(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.BatchNorm1d(3 * 4 * 5), nn.ReLU(), nn.Dropout()),
        nn.Linear(60, 4),
    )


def vgg(nn):
    layers, channels = [], 3
    for width in (4, 6):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        channels = width
    head = nn.Sequential(nn.Linear(6 * 2 * 2, 10), nn.ReLU(), nn.Dropout(), nn.Linear(10, 4))
    return nn.Sequential(nn.Sequential(*layers), nn.Flatten(), head)


def residual(nn):
    class Block(nn.Module):
        def __init__(self, n, width, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(n, width, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU(inplace=True)
            self.down = None
            if stride > 1 or n != width:
                self.down = nn.Sequential(
                    nn.Conv2d(n, width, 1, stride, bias=False), nn.BatchNorm2d(width)
                )

        def forward(self, x):
            out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            out += x if self.down is None else self.down(x)
            return self.relu(out)

    stem = [nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
    return nn.Sequential(
        *(*stem, nn.MaxPool2d(3, 2, 1), Block(4, 4, 1), Block(4, 6, 2)),
        *(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(6, 3)),
    )


def by_functions(nn):
    import torch
    import torch.nn.functional as F

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.leaky_relu(self.conv2(x), 0.1), kernel_size=2, stride=1)
        x = x.view(x.size(0), -1)
        x = F.dropout(F.relu(self.fc1(x)), training=self.training)
        return F.log_softmax(self.fc2(torch.flatten(x, 1)), dim=1)

    parts = {"conv1": nn.Conv2d(1, 3, 3), "conv2": nn.Conv2d(3, 4, 2)}
    parts |= {"fc1": nn.Linear(4 * 3 * 3, 8), "fc2": nn.Linear(8, 3)}
    return forwards(nn, parts, forward)


def u_net(nn):
    import torch

    def forward(self, x):
        down = self.down(x)
        up = self.up(self.pool(down))
        return self.head(torch.cat([up, down], dim=1))

    return forwards(
        nn,
        {
            "down": nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU()),
            "pool": nn.MaxPool2d(2),
            "up": nn.ConvTranspose2d(4, 4, 2, 2),
            "head": nn.Conv2d(8, 1, 1),
        },
        forward,
    )


def inception(nn):
    import torch

    def forward(self, x):
        paths = [self.a(x), self.b(x), self.c(self.pool(x))]
        return self.head(torch.cat(paths, 1).mean((2, 3)))

    return forwards(
        nn,
        {
            "a": nn.Conv2d(2, 3, 1),
            "b": nn.Conv2d(2, 3, 3, padding=1),
            "c": nn.Conv2d(2, 2, 5, padding=2),
            "pool": nn.MaxPool2d(3, 1, 1),
            "head": nn.Linear(8, 3),
        },
        forward,
    )


def squeeze_and_excitation(nn):
    def forward(self, x):
        h = self.conv(x)
        return (h * self.gate(h)).mean(dim=(2, 3))

    gate = nn.Sequential(
        *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 1)),
        nn.Sigmoid(),
    )
    return forwards(nn, {"conv": nn.Conv2d(2, 4, 3), "gate": gate}, forward)


def mobile(nn):
    def block(n, width):
        return [
            *(nn.Conv2d(n, n, 3, padding=1, groups=n, bias=False), nn.BatchNorm2d(n), nn.ReLU6()),
            *(nn.Conv2d(n, width, 1, bias=False), nn.BatchNorm2d(width), nn.Hardswish()),
        ]

    return nn.Sequential(*block(3, 4), *block(4, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def autoencoder(nn):
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3, 2, 1), nn.ReLU(), nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU()),
        *(nn.ConvTranspose2d(4, 3, 3, 2, 1, 1), nn.ReLU(), nn.Upsample(scale_factor=2)),
        *(nn.Conv2d(3, 1, 3, padding=1), nn.Sigmoid()),
    )


def bottleneck(nn):
    """An autoencoder through a vector, which becomes an image again."""
    return nn.Sequential(
        *(nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 4 * 4, 5)),
        *(nn.Linear(5, 32), nn.Unflatten(1, (2, 4, 4)), nn.ConvTranspose2d(2, 1, 2, 2)),
    )


def temporal(nn):
    return nn.Sequential(
        *(nn.Conv1d(3, 4, 3, padding=2, dilation=2), nn.ReLU(), nn.BatchNorm1d(4)),
        *(nn.Conv1d(4, 4, 3, padding=1, groups=4), nn.AdaptiveMaxPool1d(1), nn.Flatten()),
        nn.Linear(4, 2),
    )


def volumes(nn):
    return nn.Sequential(
        *(nn.Conv3d(1, 2, 3, padding=1), nn.BatchNorm3d(2), nn.ELU(), nn.MaxPool3d(2)),
        *(nn.Flatten(), nn.Linear(2 * 2 * 2 * 3, 2)),
    )


def last_step(nn):
    def forward(self, x):
        out, _ = self.rnn(x)
        return self.head(out[:, -1, :])

    parts = {"rnn": nn.LSTM(3, 5, 2, batch_first=True), "head": nn.Linear(5, 2)}
    return forwards(nn, parts, forward)


def last_states(nn):
    import torch

    def forward(self, x):
        _, (h, _) = self.rnn(x)
        return self.head(torch.cat((h[-2], h[-1]), dim=1))

    rnn = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    return forwards(nn, {"rnn": rnn, "head": nn.Linear(8, 2)}, forward)


def words(nn):
    def forward(self, x):
        _, h = self.rnn(self.table(x))
        return self.head(h.squeeze(0))

    parts = {"table": nn.Embedding(9, 4), "rnn": nn.GRU(4, 5, batch_first=True)}
    return forwards(nn, parts | {"head": nn.Linear(5, 2)}, forward)


def steps_first(nn):
    def forward(self, x):
        out, _ = self.rnn(self.table(x).permute(1, 0, 2))
        return self.head(out[-1])

    parts = {"table": nn.Embedding(9, 4), "rnn": nn.GRU(4, 5, bidirectional=True)}
    return forwards(nn, parts | {"head": nn.Linear(10, 2)}, forward)


def convolved_text(nn):
    import torch

    def forward(self, x):
        x = self.table(x).transpose(1, 2)
        found = [torch.relu(c(x)).amax(2) for c in self.convs]
        return self.head(torch.cat(found, 1))

    convs = nn.ModuleList([nn.Conv1d(4, 3, n) for n in (2, 3)])
    parts = {"table": nn.Embedding(9, 4), "convs": convs, "head": nn.Linear(6, 2)}
    return forwards(nn, parts, forward)


def attending(nn):
    def forward(self, x):
        h, _ = self.attention(x, x, x, need_weights=False)
        return self.head(self.norm(x + h).mean(1))

    parts = {"attention": nn.MultiheadAttention(8, 2, batch_first=True)}
    return forwards(nn, parts | {"norm": nn.LayerNorm(8), "head": nn.Linear(8, 2)}, forward)


def encoder(nn):
    """A transformer of words with positions that it has learned."""
    import torch

    def forward(self, x):
        return self.head(self.blocks(self.table(x) + self.positions)[:, 0])

    block = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, norm_first=True)
    blocks = nn.TransformerEncoder(block, 2, nn.LayerNorm(8), enable_nested_tensor=False)
    parts = {"table": nn.Embedding(9, 8), "blocks": blocks, "head": nn.Linear(8, 3)}
    return forwards(nn, parts | {"positions": nn.Parameter(0.1 * torch.randn(1, 6, 8))}, forward)


def mixer(nn):
    """Dense layers along patches and along channels, between which axes are turned."""

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.along(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.across(self.norm2(x))
        return self.head(x.mean(dim=1))

    return forwards(
        nn,
        {
            "patches": nn.Conv2d(3, 4, 4, 4),
            "norm1": nn.LayerNorm(4),
            "along": nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4)),
            "norm2": nn.LayerNorm(4),
            "across": nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4)),
            "head": nn.Linear(4, 2),
        },
        forward,
    )


def shared(nn):
    """One module that is called twice."""

    def forward(self, x):
        return self.head(self.cell(self.cell(x).tanh()) - x)

    return forwards(nn, {"cell": nn.Linear(5, 5), "head": nn.Linear(5, 2)}, forward)


def arithmetic(nn):
    def forward(self, x):
        h = self.fc(x)
        a, b = h.chunk(2, dim=-1)
        return (1 - a.sigmoid()) * b / 2 + a**2 - x[:, :3].abs()

    return forwards(nn, {"fc": nn.Linear(4, 6)}, forward)


def gated(nn):
    return nn.Sequential(nn.Linear(4, 8), nn.GLU(), nn.PReLU(4), nn.LayerNorm(4), nn.Softmax(-1))


# name: how it is made, the shape of its input, what the input is
NETWORKS = {
    "perceptron": (perceptron, (6,), ""),
    "le_net": (le_net, (1, 14, 14), "images"),
    "normalized_features": (normalized_features, (2, 6, 7), "images"),
    "vgg": (vgg, (3, 8, 8), "images"),
    "residual": (residual, (3, 20, 18), "images"),
    "by_functions": (by_functions, (1, 12, 12), "images"),
    "u_net": (u_net, (2, 8, 6), "images"),
    "inception": (inception, (2, 6, 7), "images"),
    "squeeze_and_excitation": (squeeze_and_excitation, (2, 6, 7), "images"),
    "mobile": (mobile, (3, 7, 6), "images"),
    "autoencoder": (autoencoder, (1, 8, 8), "images"),
    "bottleneck": (bottleneck, (1, 8, 8), "images"),
    "temporal": (temporal, (3, 12), "images"),
    "volumes": (volumes, (1, 4, 4, 6), "images"),
    "last_step": (last_step, (6, 3), ""),
    "last_states": (last_states, (6, 3), ""),
    "words": (words, (6,), "words"),
    "steps_first": (steps_first, (6,), "words"),
    "convolved_text": (convolved_text, (6,), "words"),
    "attending": (attending, (5, 8), ""),
    "encoder": (encoder, (6,), "words"),
    "mixer": (mixer, (3, 8, 8), "images"),
    "shared": (shared, (5,), ""),
    "arithmetic": (arithmetic, (4,), ""),
    "gated": (gated, (4,), ""),
}
