"""How far the rolling plan reaches."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class PlanMark(SQLModel, table=True):
    """One row a province: up to where its broadcasts are planned."""

    __tablename__ = "plan_mark"

    province: str = Field(primary_key=True, foreign_key="area.path")
    planned_at: int = Field(sa_type=BigInteger)
    planned_until: int = Field(sa_type=BigInteger)
