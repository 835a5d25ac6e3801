"""Networks of PyTorch, as tests/torch_modules.py has modules."""


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


def more_functions(nn):
    import torch
    import torch.nn.functional as F

    def forward(self, x):
        x = F.interpolate(F.pad(x, (1, 2, 0, 1)), scale_factor=2, mode="nearest")
        x = F.avg_pool2d(F.gelu(self.conv(x)), 3, 2, 1)
        x = F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1)
        return 2 * F.normalize(x, dim=1) + torch.exp(-x) * x.softmax(dim=1).sqrt()

    return forwards(nn, {"conv": nn.Conv2d(2, 3, 3)}, forward)


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


def translator(nn):
    """A decoder that looks at what it is given itself through an encoder."""
    import torch

    def forward(self, x):
        h = self.table(x)
        hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
        h = self.first(h, self.encoder(h), tgt_mask=hidden)
        return self.head(self.second(h, h))

    options = {"batch_first": True, "dropout": 0.0}
    parts = {
        "table": nn.Embedding(9, 8),
        "encoder": nn.TransformerEncoderLayer(8, 2, 12, **options),
        "first": nn.TransformerDecoderLayer(8, 2, 12, **options),
        "second": nn.TransformerDecoderLayer(8, 4, 10, norm_first=True, **options),
        "head": nn.Linear(8, 3),
    }
    return forwards(nn, parts, forward)


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
    "more_functions": (more_functions, (2, 5, 4), "images"),
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
    "translator": (translator, (6,), "words"),
    "mixer": (mixer, (3, 8, 8), "images"),
    "shared": (shared, (5,), ""),
    "arithmetic": (arithmetic, (4,), ""),
    "gated": (gated, (4,), ""),
}
