"""A small card whose names begin like each other, and programs over it."""

from milepost.programs.card import Attribute, Entity, EnvironmentCard


def place(name, start, size=3):
    return Attribute(name=name, start=start, stop=start + size, about="metres", low=-1.0, high=1.0)


CARD = EnvironmentCard(
    name="cubes",
    entities=(
        Entity(name="robot", about="The arm.", attributes=(place("ee", 0), place("ee_open", 3, 1))),
        Entity(name="obj1", about="A cube.", attributes=(place("pos", 4), place("pos_goal", 7))),
        Entity(name="obj10", about="Another.", attributes=(place("pos", 10),)),
    ),
    action="4 numbers",
)
HEAD = "import numpy as np\nimport math\n\ndef compute_dense_reward(self, action):\n"
BODIES = (
    "return -np.linalg.norm(self.robot.ee - self.obj1.pos)",
    "return -np.linalg.norm(self.obj1.pos - self.obj1.pos_goal)",
    "return -np.linalg.norm(self.obj10.pos - self.obj1.pos)",
    "return self.robot.ee_open",
    "return 1.0 if self.robot.ee_open > 0.5 else -1.0",
    "return -0.001 * np.linalg.norm(action) - np.abs(self.obj10.pos).sum()",
    "return math.exp(-np.linalg.norm(self.robot.ee - self.obj10.pos))",
    "return float(np.tanh(self.obj1.pos[2]))",
    "return max(self.obj1.pos[0], self.obj10.pos[0])",
    "return sum(abs(x) for x in self.obj1.pos_goal)",
    "return {'near': -np.linalg.norm(self.robot.ee - self.obj1.pos), 'open': self.robot.ee_open}",
    "return np.clip(self.obj1.pos, -0.5, 0.5).mean()",
    "return np.dot(self.obj1.pos, self.obj10.pos)",
    "return -np.square(self.robot.ee - self.obj1.pos_goal).sum() ** 0.5",
    "return (self.obj1.pos[2] > 0.1) * 2.0",
    "return np.where(self.obj1.pos > 0, 1.0, 0.0).sum()",
    "return min(1.0, 0.1 / (0.01 + np.linalg.norm(self.robot.ee - self.obj1.pos)))",
    "return -np.max(np.abs(self.obj10.pos - self.obj1.pos_goal))",
    "return self.obj1.pos.tolist()[1] - self.obj10.pos.tolist()[1]",
    "return action[3] * self.robot.ee_open",
)
"""20 programs."""


def program(body):
    return f"{HEAD}    {body}\n"
